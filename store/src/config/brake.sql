-- How much of a directory may be removed at once, as JSON; 'null' for any amount. Without one of its own a
-- directory has the general one of the settings.
ALTER TABLE directories ADD COLUMN brake TEXT;
-- How far the feed is judged.
ALTER TABLE meta ADD COLUMN judged INTEGER NOT NULL DEFAULT 0;
-- What directories with a brake have come to by then, as JSON, and since when somebody wants that released
-- which is held.
CREATE TABLE watches (
    directory    BLOB PRIMARY KEY,
    watch        TEXT NOT NULL,
    release_from INTEGER
) WITHOUT ROWID;
-- The events that are held, or stand behind such, by their position, with the first event of the hold.
CREATE TABLE held_events (
    position  INTEGER PRIMARY KEY,
    directory BLOB NOT NULL,
    hold      INTEGER NOT NULL
);
CREATE INDEX held_events_directory ON held_events (directory, position);
-- The users and groups that these are about.
CREATE TABLE held_subjects (
    directory BLOB NOT NULL,
    subject   BLOB NOT NULL,
    PRIMARY KEY (directory, subject)
) WITHOUT ROWID;
