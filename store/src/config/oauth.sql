-- OAuth 2.0 client credentials. A client secret opens nothing by itself: access tokens are issued with it.
ALTER TABLE directories ADD COLUMN token_lifetime_s INTEGER NOT NULL DEFAULT 3600;
ALTER TABLE tokens ADD COLUMN is_client_secret INTEGER NOT NULL DEFAULT 0;
-- The keys rise in the order of issuing. Expired ones stay for a while, to be told apart from unknown ones.
CREATE TABLE access_tokens (
    key        INTEGER PRIMARY KEY,
    digest     BLOB NOT NULL UNIQUE,
    directory  BLOB NOT NULL REFERENCES directories (id),
    secret     BLOB NOT NULL REFERENCES tokens (id),
    issued_at  INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
);
CREATE INDEX access_tokens_directory ON access_tokens (directory);
CREATE INDEX access_tokens_expires_at ON access_tokens (expires_at);
