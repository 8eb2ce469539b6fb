-- KEK rotation and compromise. States of a KEK: active, retired, compromised. A destroyed KEK
-- keeps its row, with no bytes in `wrapped`.

-- Whoever knows a KEK opens every copy of a row that was ever wrapped by it, old backups too: so
-- a row keeps the version that wrapped it first.
ALTER TABLE content_keys ADD COLUMN first_kek_version BIGINT NOT NULL DEFAULT 1;
UPDATE content_keys SET first_kek_version = kek_version;
CREATE INDEX content_keys_of_kek ON content_keys (category, kek_version, kid);

-- Asked for each key of each license, and empty as long as nothing has happened.
CREATE INDEX keks_compromised ON keks (category, version) WHERE state = 'compromised';

-- What somebody or something still has to do for a title; done_at is null until it is done.
CREATE TABLE work_items (
    content_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    done_at BIGINT
);
CREATE UNIQUE INDEX work_items_pending ON work_items (content_id, kind) WHERE done_at IS NULL;

-- Approvals of a key export that were used up: each serves once.
CREATE TABLE used_approvals (
    id BYTEA NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    used_at BIGINT NOT NULL
);
