-- The latest SCIM requests of each directory. Ids rise with time.
CREATE TABLE scim_requests (
    directory   BLOB NOT NULL,
    id          BLOB NOT NULL,
    at          INTEGER NOT NULL,
    method      TEXT NOT NULL,
    path        TEXT NOT NULL,
    status      INTEGER NOT NULL,
    scim_type   TEXT,
    detail      TEXT,
    duration_us INTEGER NOT NULL,
    events      INTEGER NOT NULL,
    tolerated   TEXT NOT NULL,
    PRIMARY KEY (directory, id)
) WITHOUT ROWID;
