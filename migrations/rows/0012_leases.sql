-- How a stream reports, when it must end, what its player told.

-- A stream stays for a day after its begin, so that a player that was away learns what became of it:
-- expires_at is 0 once it lapsed and another stream started, and once it ended (ended_at, end_reason).
-- ends_by: the lease goes no further. last_seq: the newest heartbeat's number, less 2^63, which keeps
-- the order of 64-bit numbers; missed: how many numbers before it never came. events: how many
-- playback events the session has told.
ALTER TABLE playback_sessions ADD COLUMN interval_s BIGINT NOT NULL DEFAULT 60 CHECK (interval_s > 0);
ALTER TABLE playback_sessions ADD COLUMN ends_by BIGINT NOT NULL DEFAULT 0;
ALTER TABLE playback_sessions ADD COLUMN last_seq BIGINT;
ALTER TABLE playback_sessions ADD COLUMN missed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE playback_sessions ADD COLUMN events BIGINT NOT NULL DEFAULT 0;
ALTER TABLE playback_sessions ADD COLUMN ended_at BIGINT;
ALTER TABLE playback_sessions ADD COLUMN end_reason TEXT;
UPDATE playback_sessions SET ends_by = started_at + 86400000;

-- What players logged, sealed under a key that is not in the database. seq: as last_seq above. The
-- session is named without a foreign key: a log outlives it.
CREATE TABLE playback_logs (
    id BYTEA NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    account BYTEA NOT NULL REFERENCES accounts (id),
    session BYTEA NOT NULL CHECK (length(session) = 16),
    seq BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    sealed BYTEA NOT NULL
);
CREATE INDEX playback_logs_of_session ON playback_logs (session, received_at);
CREATE INDEX playback_logs_of_account ON playback_logs (account, received_at);
CREATE INDEX playback_logs_by_time ON playback_logs (received_at);

-- What players told of a playback, in the order of its number.
CREATE TABLE playback_events (
    session BYTEA NOT NULL CHECK (length(session) = 16),
    number BIGINT NOT NULL,
    account BYTEA NOT NULL REFERENCES accounts (id),
    kind TEXT NOT NULL,
    detail TEXT,
    told_at BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    PRIMARY KEY (session, number)
);
CREATE INDEX playback_events_by_time ON playback_events (received_at);
