-- In which blocks of 64 positions the feed has events of a directory, of a type, and of one in the other. The directory
-- 0 stands for all of them, no type for all types. A row for each event would be written in three places for every change.
CREATE TABLE feed_blocks (
    directory INTEGER NOT NULL,
    event     TEXT NOT NULL,
    block     INTEGER NOT NULL,
    PRIMARY KEY (directory, event, block)
) WITHOUT ROWID;
INSERT INTO feed_blocks SELECT DISTINCT directory, event, position / 64 FROM feed;
INSERT INTO feed_blocks SELECT DISTINCT 0, event, block FROM feed_blocks;
INSERT INTO feed_blocks SELECT DISTINCT directory, '', block FROM feed_blocks WHERE directory > 0;
DROP INDEX feed_stream;
DROP INDEX feed_event;
DROP INDEX feed_directory_event;
-- Each user is in one of the two, whoever reads all of them reads both.
DROP INDEX users_directory;
CREATE INDEX users_hidden ON users (directory, user_id) WHERE hidden = 1;
