-- How token calls and license requests ended, for `explain`: the newest refusals, and the newest
-- token calls that were allowed, each kind numbered by itself. An issued license is in the audit.
-- trace: the rules that were asked, a JSON document. Rows leave when newer ones come.

CREATE TABLE outcomes (
    is_refused BIGINT NOT NULL CHECK (is_refused IN (0, 1)),
    seq BIGINT NOT NULL CHECK (seq >= 1),
    at BIGINT NOT NULL,
    correlation BYTEA NOT NULL CHECK (length(correlation) = 16),
    route TEXT NOT NULL,
    dialect TEXT,
    code TEXT,
    reason TEXT,
    decision BYTEA CHECK (length(decision) = 16),
    account BYTEA CHECK (length(account) = 16),
    session BYTEA CHECK (length(session) = 16),
    content_id TEXT,
    trace TEXT NOT NULL,
    PRIMARY KEY (is_refused, seq)
);
CREATE INDEX outcomes_of_request ON outcomes (correlation);

-- The numbers given last.
INSERT INTO settings (name, value) VALUES ('refused_outcomes', 0), ('allowed_outcomes', 0);
