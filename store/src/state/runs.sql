-- Lists pass over what they do not show by an index, however much there is of it in a row. That of all users of a
-- directory need not tell who is hidden any more.
DROP INDEX users_directory;
CREATE INDEX users_directory ON users (directory, user_id);
-- The users of a directory that apps see.
CREATE INDEX users_seen ON users (directory, user_id) WHERE hidden = 0;
-- The events of a directory in the order of the feed. Each entry goes behind the last of its directory.
CREATE INDEX feed_stream ON feed (directory);
