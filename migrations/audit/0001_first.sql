-- The audit: rows are added and never change. hash = SHA-256(hash of the row before ‖ this row),
-- see crates/store/src/audit.rs.

CREATE TABLE audit (
    seq BIGINT NOT NULL PRIMARY KEY CHECK (seq >= 1),
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    content_id TEXT,
    kid BYTEA CHECK (length(kid) = 16),
    session BYTEA CHECK (length(session) = 16),
    decision BYTEA CHECK (length(decision) = 16),
    detail TEXT NOT NULL,
    hash BYTEA NOT NULL CHECK (length(hash) = 32)
);

-- The newest row's number and hash: the row that appending locks, and what shows that rows
-- were cut off the end.
CREATE TABLE audit_head (
    chain BIGINT NOT NULL PRIMARY KEY CHECK (chain = 1),
    seq BIGINT NOT NULL,
    hash BYTEA NOT NULL CHECK (length(hash) = 32)
);
