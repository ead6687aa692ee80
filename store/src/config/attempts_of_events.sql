-- What was sent of one event, to whichever endpoints.
CREATE INDEX attempts_event ON attempts (event_id);
