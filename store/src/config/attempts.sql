-- Attempts in the order of their times, which is that of their ids, and those of one event.
DROP INDEX attempts_endpoint;
CREATE INDEX attempts_endpoint ON attempts (endpoint, at);
DROP INDEX attempts_failed;
CREATE INDEX attempts_failed ON attempts (endpoint, at) WHERE failure IS NOT NULL;
CREATE INDEX IF NOT EXISTS attempts_event ON attempts (event_id);
