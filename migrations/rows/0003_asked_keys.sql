-- What an encryptor asked a key for: the same question gets the same key, another question
-- under the same KID is refused. Keys that were made here or imported have no row.

CREATE TABLE asked_keys (
    kid BYTEA NOT NULL PRIMARY KEY REFERENCES content_keys (kid),
    classes TEXT NOT NULL,
    periods TEXT NOT NULL
);
