-- How much of a directory may be removed at once, as JSON; 'null' for any amount. Without one of its own a directory
-- has the general one of the settings.
ALTER TABLE configured_directories ADD COLUMN brake text;
-- How far the feed is judged. Every judgement counts up, and one that was made from an earlier count is refused.
CREATE TABLE judged (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    revision bigint NOT NULL DEFAULT 0,
    position bigint NOT NULL DEFAULT 0
);
INSERT INTO judged DEFAULT VALUES;
-- What directories with a brake have come to by then, as JSON, and since when somebody wants that released which is
-- held.
CREATE TABLE watches (
    directory    bytea PRIMARY KEY,
    watch        text NOT NULL,
    release_from bigint
);
-- The events that are held, or stand behind such, by their position, with the first event of the hold.
CREATE TABLE held_events (
    position  bigint PRIMARY KEY,
    directory bytea NOT NULL,
    hold      bigint NOT NULL
);
CREATE INDEX held_events_directory ON held_events (directory, position);
-- The users and groups that these are about.
CREATE TABLE held_subjects (
    directory bytea NOT NULL,
    subject   bytea NOT NULL,
    PRIMARY KEY (directory, subject)
);
