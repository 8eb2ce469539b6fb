-- Key rotation. period: the number of the one period that a key serves; null where a key does not
-- rotate. period_begins, period_ends: when that is, for a live event; null for a title that each
-- viewer begins when he likes.
ALTER TABLE content_keys ADD COLUMN period BIGINT CHECK (period >= 0);
ALTER TABLE content_keys ADD COLUMN period_begins BIGINT;
ALTER TABLE content_keys ADD COLUMN period_ends BIGINT;

-- A channel has tens of thousands of keys a day: those of its tracks (no period), of some periods
-- and of some time are found without reading the others.
DROP INDEX content_keys_of_title;
CREATE INDEX content_keys_of_title ON content_keys (content_id, period);
CREATE INDEX content_keys_by_end ON content_keys (content_id, period_ends)
    WHERE period_ends IS NOT NULL;
