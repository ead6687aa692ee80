-- What the passwords of the console are checked with, and the browsers that have signed in. Of a session the digest
-- of its cookie is kept alone.
CREATE TABLE console_passwords (
    role TEXT PRIMARY KEY,
    hash TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE console_sessions (
    digest       BLOB PRIMARY KEY,
    role         TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL
) WITHOUT ROWID;
