-- What people have set up, and what deliveries have come to. Nothing can make this again.
CREATE TABLE meta (
    generation INTEGER NOT NULL
);
INSERT INTO meta (generation) VALUES (1);
CREATE TABLE organizations (
    id          BLOB PRIMARY KEY,
    name        TEXT NOT NULL,
    external_id TEXT UNIQUE,
    metadata    TEXT NOT NULL,
    domains     TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE directories (
    id           BLOB PRIMARY KEY,
    organization BLOB NOT NULL,
    kind         TEXT NOT NULL,
    name         TEXT NOT NULL,
    external_key TEXT NOT NULL,
    endpoint_id  TEXT NOT NULL UNIQUE,
    partition    INTEGER NOT NULL,
    deleting     INTEGER NOT NULL DEFAULT 0,
    domains      TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL
) WITHOUT ROWID;
-- Digests of secrets, never the secrets.
CREATE TABLE tokens (
    id           BLOB PRIMARY KEY,
    directory    BLOB NOT NULL REFERENCES directories (id),
    digest       BLOB NOT NULL UNIQUE,
    suffix       TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER,
    revoked      INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE api_keys (
    id           BLOB PRIMARY KEY,
    name         TEXT NOT NULL,
    digest       BLOB NOT NULL UNIQUE,
    suffix       TEXT NOT NULL,
    permission   TEXT NOT NULL,
    organization BLOB,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER
) WITHOUT ROWID;
CREATE TABLE endpoints (
    id              BLOB PRIMARY KEY,
    url             TEXT NOT NULL UNIQUE,
    events          TEXT NOT NULL,
    enabled         INTEGER NOT NULL,
    delivery_order  TEXT NOT NULL,
    secret          BLOB NOT NULL,
    disabled_reason TEXT,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    cursor          INTEGER NOT NULL,
    failing_since   INTEGER,
    failed_in_a_row INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE blocked_lines (
    endpoint      BLOB NOT NULL REFERENCES endpoints (id) ON DELETE CASCADE,
    line          TEXT NOT NULL,
    from_position INTEGER NOT NULL,
    failures      INTEGER NOT NULL,
    due_at        INTEGER,
    PRIMARY KEY (endpoint, line)
) WITHOUT ROWID;
CREATE TABLE attempts (
    key         INTEGER PRIMARY KEY,
    endpoint    BLOB NOT NULL REFERENCES endpoints (id) ON DELETE CASCADE,
    event_id    BLOB NOT NULL,
    position    INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    status      INTEGER,
    failure     TEXT,
    exhausted   INTEGER NOT NULL
);
CREATE INDEX attempts_endpoint ON attempts (endpoint);
