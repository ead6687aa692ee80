CREATE UNIQUE INDEX feed_event_id ON feed (event_id);
CREATE UNIQUE INDEX feed_seq ON feed (directory, seq);
CREATE INDEX feed_user ON feed (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX feed_group ON feed (group_id) WHERE group_id IS NOT NULL;
-- What is about a directory itself: few rows, which nothing else finds among the others of its stream.
CREATE INDEX feed_directory ON feed (directory) WHERE user_id IS NULL AND group_id IS NULL;
