-- Who an account is at an identity provider: the issuer's name and the subject there. told_at: when
-- the newest token was issued whose word on the plan was followed.
CREATE TABLE issuer_subjects (
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    account BYTEA NOT NULL REFERENCES accounts (id),
    linked_at BIGINT NOT NULL,
    told_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX issuer_subjects_of_account ON issuer_subjects (account);

-- Sign-ins on an issuer's tokens that were ended here: a token issued until ended_at counts no more.
-- After forget_at every such token has ended by itself.
CREATE TABLE ended_sign_ins (
    id BYTEA NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    account BYTEA NOT NULL REFERENCES accounts (id),
    ended_at BIGINT NOT NULL,
    forget_at BIGINT NOT NULL
);
CREATE INDEX ended_sign_ins_of_account ON ended_sign_ins (account, forget_at);
