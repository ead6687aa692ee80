-- What an endpoint gets, and the key that tokens are signed with: a seed, sealed as the secrets of endpoints are.
ALTER TABLE endpoints ADD COLUMN format TEXT NOT NULL DEFAULT 'webhook';
CREATE TABLE signing_keys (
    id         BLOB PRIMARY KEY,
    seed       BLOB NOT NULL,
    created_at INTEGER NOT NULL
) WITHOUT ROWID;
