-- Accounts, catalog, keys, streams, outbox. Ids are 16 bytes; times are milliseconds.

CREATE TABLE plans (
    name TEXT NOT NULL PRIMARY KEY,
    includes_streaming BIGINT NOT NULL CHECK (includes_streaming IN (0, 1)),
    max_streams BIGINT NOT NULL CHECK (max_streams >= 0)
);

CREATE TABLE accounts (
    id BYTEA NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    name TEXT NOT NULL UNIQUE,
    plan TEXT NOT NULL REFERENCES plans (name),
    subscription TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE sign_ins (
    id BYTEA NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    account BYTEA NOT NULL REFERENCES accounts (id),
    started_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sign_ins_of_account ON sign_ins (account);

-- policy, access, regions: JSON documents of the model's types of these names.
CREATE TABLE titles (
    content_id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    category TEXT NOT NULL,
    policy TEXT NOT NULL,
    access TEXT NOT NULL,
    regions TEXT NOT NULL,
    state TEXT NOT NULL,
    attempt BIGINT,
    package BYTEA CHECK (length(package) = 16)
);

-- A KEK wrapped by the KMS.
CREATE TABLE keks (
    category TEXT NOT NULL,
    version BIGINT NOT NULL CHECK (version >= 1),
    wrapped BYTEA NOT NULL,
    state TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (category, version)
);

-- A CEK wrapped by its KEK. The title is named without a foreign key: a key is made at
-- packaging, which may come before the catalog knows the title.
CREATE TABLE content_keys (
    kid BYTEA NOT NULL PRIMARY KEY CHECK (length(kid) = 16),
    content_id TEXT NOT NULL,
    track_class TEXT,
    scheme TEXT,
    category TEXT NOT NULL,
    kek_version BIGINT NOT NULL,
    wrapped BYTEA NOT NULL,
    iv BYTEA CHECK (length(iv) = 16),
    fingerprint BYTEA NOT NULL UNIQUE CHECK (length(fingerprint) = 32),
    state TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    FOREIGN KEY (category, kek_version) REFERENCES keks (category, version)
);
CREATE INDEX content_keys_of_title ON content_keys (content_id);

-- Streams that run now. A row leaves when its stream ends or the account starts another one
-- after it expired.
CREATE TABLE playback_sessions (
    session BYTEA NOT NULL PRIMARY KEY CHECK (length(session) = 16),
    account BYTEA NOT NULL REFERENCES accounts (id),
    device BYTEA NOT NULL CHECK (length(device) = 16),
    content_id TEXT NOT NULL,
    decision BYTEA NOT NULL CHECK (length(decision) = 16),
    started_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    is_leased BIGINT NOT NULL CHECK (is_leased IN (0, 1))
);
CREATE INDEX playback_sessions_of_account ON playback_sessions (account);

CREATE TABLE resume_points (
    account BYTEA NOT NULL REFERENCES accounts (id),
    content_id TEXT NOT NULL,
    position_s BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (account, content_id)
);

-- Events that still have to leave (done_at is null) or have left. A package is told once.
CREATE TABLE outbox (
    id BIGINT NOT NULL PRIMARY KEY,
    package BYTEA NOT NULL UNIQUE CHECK (length(package) = 16),
    content_id TEXT NOT NULL REFERENCES titles (content_id),
    event TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    done_at BIGINT
);
CREATE INDEX outbox_pending ON outbox (id) WHERE done_at IS NULL;

-- Numbers the service keeps: `boot_mark` (see Store::raise_boot_mark), `outbox` (last id given).
CREATE TABLE settings (
    name TEXT NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO settings (name, value) VALUES ('boot_mark', 0), ('outbox', 0);
