-- Host names under which directories are reached: those of one directory, or of all of an organization.
CREATE TABLE host_names (
    id           BLOB PRIMARY KEY,
    name         TEXT NOT NULL UNIQUE,
    organization BLOB NOT NULL,
    directory    BLOB REFERENCES directories (id),
    created_at   INTEGER NOT NULL
) WITHOUT ROWID;
