-- Attempts in the order of their times, which is that of their ids, and those of one event.
DROP INDEX attempts_endpoint;
CREATE INDEX attempts_endpoint ON attempts (endpoint, at, key);
DROP INDEX attempts_failed;
CREATE INDEX attempts_failed ON attempts (endpoint, at, key) WHERE failure IS NOT NULL;
CREATE INDEX IF NOT EXISTS attempts_event ON attempts (event_id);
-- Which directory a change was about, by the count of the change: replicas read that one again. A change that is not
-- here was about others as well.
CREATE TABLE changed_directories (
    version   bigint PRIMARY KEY,
    directory bytea NOT NULL
);
