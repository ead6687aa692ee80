-- The users of a directory that apps see.
CREATE INDEX users_seen ON users (directory, user_id) WHERE hidden = 0;
-- The events of a directory in the order of the feed. Each entry goes behind the last of its directory.
CREATE INDEX feed_stream ON feed (directory);
