-- When the events of the feed were created: the earliest of each 1,024 positions, and the latest of these and of all before.
CREATE TABLE feed_times (
    block    INTEGER PRIMARY KEY,
    earliest INTEGER NOT NULL,
    latest   INTEGER NOT NULL
);
