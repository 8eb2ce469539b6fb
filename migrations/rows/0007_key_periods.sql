-- Key rotation. period: the number of the one period that a key serves; null where a key does not
-- rotate. period_begins, period_ends: when that is, for a live event; null for a title that each
-- viewer begins when he likes.
ALTER TABLE content_keys ADD COLUMN period BIGINT CHECK (period >= 0);
ALTER TABLE content_keys ADD COLUMN period_begins BIGINT;
ALTER TABLE content_keys ADD COLUMN period_ends BIGINT;
CREATE INDEX content_keys_of_period ON content_keys (content_id, period) WHERE period IS NOT NULL;
