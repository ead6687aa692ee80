-- What an endpoint gets, and when it is tried again; what is not there is as it was before.
ALTER TABLE endpoints ADD COLUMN kind TEXT NOT NULL DEFAULT 'directory';
ALTER TABLE endpoints ADD COLUMN retry_schedule TEXT;
ALTER TABLE endpoints ADD COLUMN organizations TEXT NOT NULL DEFAULT '[]';
ALTER TABLE endpoints ADD COLUMN directories TEXT NOT NULL DEFAULT '[]';
-- Whether the operator was told that it fails, and not yet that it answers again.
ALTER TABLE endpoints ADD COLUMN is_told INTEGER NOT NULL DEFAULT 0;
-- What is done beyond the cursor: distances from it, four bytes each.
ALTER TABLE endpoints ADD COLUMN done BLOB NOT NULL DEFAULT x'';
-- Lanes that walk part of the feed once more.
CREATE TABLE replays (
    id          BLOB PRIMARY KEY,
    endpoint    BLOB NOT NULL REFERENCES endpoints (id) ON DELETE CASCADE,
    directories TEXT NOT NULL,
    events      TEXT NOT NULL,
    rate        INTEGER NOT NULL,
    cursor      INTEGER NOT NULL,
    done        BLOB NOT NULL DEFAULT x'',
    up_to       INTEGER NOT NULL,
    total       INTEGER NOT NULL,
    delivered   INTEGER NOT NULL DEFAULT 0,
    exhausted   INTEGER NOT NULL DEFAULT 0,
    created_at  INTEGER NOT NULL,
    finished_at INTEGER
) WITHOUT ROWID;
CREATE INDEX replays_endpoint ON replays (endpoint);
CREATE TABLE replay_lines (
    replay        BLOB NOT NULL REFERENCES replays (id) ON DELETE CASCADE,
    line          TEXT NOT NULL,
    from_position INTEGER NOT NULL,
    failures      INTEGER NOT NULL,
    due_at        INTEGER,
    PRIMARY KEY (replay, line)
) WITHOUT ROWID;
-- What the operator is told. Positions are never used twice, though old rows go.
CREATE TABLE operational_events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id       BLOB NOT NULL,
    event    TEXT NOT NULL,
    at       INTEGER NOT NULL,
    data     TEXT NOT NULL
);
ALTER TABLE attempts ADD COLUMN replay BLOB;
-- How the answers to failed attempts begin.
CREATE TABLE answers (
    attempt INTEGER PRIMARY KEY REFERENCES attempts (key) ON DELETE CASCADE,
    body    BLOB NOT NULL
);
