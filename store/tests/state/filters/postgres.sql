-- What filters are asked of: the columns that they read, of the types that the dialect wants.
CREATE TABLE users (
    key        bigint PRIMARY KEY,
    scim_id    bytea NOT NULL,
    display    text COLLATE "C",
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    version    bigint NOT NULL,
    attributes json NOT NULL,
    active     boolean NOT NULL
);
CREATE TABLE groups (
    key         bigint PRIMARY KEY,
    scim_id     bytea NOT NULL,
    display     text COLLATE "C",
    created_at  bigint NOT NULL,
    modified_at bigint NOT NULL,
    version     bigint NOT NULL,
    attributes  json NOT NULL
);
CREATE TABLE memberships (
    group_key bigint NOT NULL,
    user_key  bigint NOT NULL,
    PRIMARY KEY (group_key, user_key)
);
