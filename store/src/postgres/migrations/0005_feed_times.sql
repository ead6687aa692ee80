-- When the events of the feed were created: the earliest of each 1,024 positions, and the latest of these and of all
-- before. Times rise with positions, but for clocks that differ.
CREATE TABLE feed_times (
    block    bigint PRIMARY KEY,
    earliest bigint NOT NULL,
    latest   bigint NOT NULL
);
