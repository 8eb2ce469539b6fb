-- Licenses that devices keep, and records of use.
ALTER TABLE plans ADD COLUMN max_offline BIGINT NOT NULL DEFAULT 25 CHECK (max_offline >= 0);

-- One row for each title on each device of an account, as long as its newest license lives, and
-- for a while after that. reserved_until: while a license is in the making; null once it left.
-- released_at: when the device gave it back; null while it has it.
CREATE TABLE kept_licenses (
    account BYTEA NOT NULL REFERENCES accounts (id),
    device BYTEA NOT NULL CHECK (length(device) = 16),
    content_id TEXT NOT NULL,
    license BYTEA NOT NULL CHECK (length(license) = 16),
    issued_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    reserved_until BIGINT,
    released_at BIGINT,
    PRIMARY KEY (account, device, content_id)
);

-- When a license was first and last used, by its device's word; null: never. One row a license.
CREATE TABLE usage_records (
    license BYTEA NOT NULL PRIMARY KEY CHECK (length(license) = 16),
    account BYTEA NOT NULL REFERENCES accounts (id),
    device BYTEA NOT NULL CHECK (length(device) = 16),
    session BYTEA NOT NULL CHECK (length(session) = 16),
    content_id TEXT NOT NULL,
    first_played_at BIGINT,
    last_played_at BIGINT,
    received_at BIGINT NOT NULL
);
CREATE INDEX usage_records_of_account ON usage_records (account, received_at);
