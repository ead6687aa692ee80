-- The state: what the log folds to. All of it can be made again.
-- Keys are given out in order of creation, and ids are time-ordered, so that inserts touch the same
-- few pages.
CREATE TABLE positions (
    partition      INTEGER PRIMARY KEY,
    next           INTEGER NOT NULL,
    applied_offset INTEGER,
    applied_hash   BLOB
);
CREATE TABLE directories (
    key            INTEGER PRIMARY KEY,
    id             BLOB NOT NULL UNIQUE,
    partition      INTEGER NOT NULL,
    activated      INTEGER NOT NULL DEFAULT 0,
    gone           INTEGER NOT NULL DEFAULT 0,
    stopped        INTEGER NOT NULL DEFAULT 0,
    seq            INTEGER NOT NULL DEFAULT 0,
    hash           BLOB NOT NULL,
    active_users   INTEGER NOT NULL DEFAULT 0,
    inactive_users INTEGER NOT NULL DEFAULT 0,
    groups         INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE tokens (
    directory INTEGER NOT NULL,
    id        BLOB NOT NULL,
    revoked   INTEGER NOT NULL,
    PRIMARY KEY (directory, id)
) WITHOUT ROWID;
CREATE TABLE users (
    key         INTEGER PRIMARY KEY,
    directory   INTEGER NOT NULL,
    scim_id     BLOB NOT NULL,
    user_id     BLOB NOT NULL,
    name_key    TEXT NOT NULL,
    external_id TEXT,
    email       TEXT,
    display     TEXT,
    active      INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    attributes  TEXT NOT NULL
);
-- The addresses of users beside the one in their row, folded: few users have any.
CREATE TABLE emails (
    directory INTEGER NOT NULL,
    value     TEXT NOT NULL,
    user_key  INTEGER NOT NULL,
    PRIMARY KEY (directory, value, user_key)
) WITHOUT ROWID;
CREATE TABLE groups (
    key         INTEGER PRIMARY KEY,
    directory   INTEGER NOT NULL,
    scim_id     BLOB NOT NULL,
    group_id    BLOB NOT NULL,
    idp_id      TEXT NOT NULL,
    name_key    TEXT NOT NULL,
    external_id TEXT,
    display     TEXT,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    attributes  TEXT NOT NULL
);
CREATE TABLE memberships (
    group_key INTEGER NOT NULL,
    user_key  INTEGER NOT NULL,
    PRIMARY KEY (group_key, user_key)
) WITHOUT ROWID;
CREATE TABLE feed (
    position   INTEGER PRIMARY KEY,
    event_id   BLOB NOT NULL,
    directory  INTEGER NOT NULL,
    event      TEXT NOT NULL,
    seq        INTEGER NOT NULL,
    hash       BLOB NOT NULL,
    prev       BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    user_id    BLOB,
    group_id   BLOB,
    actor      TEXT NOT NULL,
    data       TEXT NOT NULL
);
