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
CREATE UNIQUE INDEX feed_event_id ON feed (event_id);
CREATE UNIQUE INDEX feed_seq ON feed (directory, seq);
CREATE INDEX feed_user ON feed (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX feed_group ON feed (group_id) WHERE group_id IS NOT NULL;
-- What is about a directory itself: few rows, which nothing else finds among the others of its stream.
CREATE INDEX feed_directory ON feed (directory) WHERE user_id IS NULL AND group_id IS NULL;
CREATE UNIQUE INDEX users_scim_id ON users (scim_id);
CREATE UNIQUE INDEX users_user_id ON users (user_id);
CREATE UNIQUE INDEX users_name ON users (directory, name_key);
CREATE INDEX users_external_id ON users (directory, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX users_email ON users (directory, email) WHERE email IS NOT NULL;
CREATE INDEX users_inactive ON users (directory) WHERE active = 0;
CREATE INDEX users_updated_at ON users (directory, updated_at);
CREATE INDEX users_directory ON users (directory, user_id);
CREATE INDEX emails_user ON emails (user_key);
CREATE UNIQUE INDEX groups_scim_id ON groups (scim_id);
CREATE UNIQUE INDEX groups_group_id ON groups (group_id);
CREATE INDEX groups_name ON groups (directory, name_key);
CREATE INDEX groups_external_id ON groups (directory, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX groups_directory ON groups (directory, group_id);
CREATE INDEX memberships_user ON memberships (user_key, group_key);
