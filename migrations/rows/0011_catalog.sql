-- What viewers read of titles, their pictures, and what viewers keep: queue, viewings.

-- document: JSON of the model's TitleDescription.
CREATE TABLE title_descriptions (
    content_id TEXT NOT NULL PRIMARY KEY REFERENCES titles (content_id),
    document TEXT NOT NULL
);

-- The files lie beside the packages, under their digests.
CREATE TABLE title_art (
    content_id TEXT NOT NULL REFERENCES titles (content_id),
    kind TEXT NOT NULL,
    sha256 BYTEA NOT NULL CHECK (length(sha256) = 32),
    format TEXT NOT NULL,
    PRIMARY KEY (content_id, kind)
);
CREATE INDEX title_art_of_file ON title_art (sha256);

-- How often a resume point was changed: who changes one that he has read names this number.
ALTER TABLE resume_points ADD COLUMN version BIGINT NOT NULL DEFAULT 1;

-- One row for each time that an account watched a title, the newest ones.
CREATE TABLE viewings (
    account BYTEA NOT NULL REFERENCES accounts (id),
    content_id TEXT NOT NULL,
    session BYTEA NOT NULL CHECK (length(session) = 16),
    started_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    position_s BIGINT NOT NULL,
    PRIMARY KEY (account, content_id, session)
);

-- content_ids: JSON list, in the viewer's order.
CREATE TABLE queues (
    account BYTEA NOT NULL PRIMARY KEY REFERENCES accounts (id),
    version BIGINT NOT NULL,
    content_ids TEXT NOT NULL
);
