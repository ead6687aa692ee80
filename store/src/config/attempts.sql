-- Attempts in the order of their times, which is that of their ids, and those of one event.
DROP INDEX attempts_endpoint;
CREATE INDEX attempts_endpoint ON attempts (endpoint, at);
DROP INDEX attempts_failed;
CREATE INDEX attempts_failed ON attempts (endpoint, at) WHERE failure IS NOT NULL;
-- By how the ids begin, which is the time: as good for finding the few of one event, and half as large. Every delivery
-- adds an entry.
DROP INDEX attempts_event;
CREATE INDEX attempts_event ON attempts (substr(event_id, 1, 8));
