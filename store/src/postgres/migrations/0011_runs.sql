-- Lists pass over what they do not show by an index, however much there is of it in a row. That of all users of a
-- directory need not tell who is hidden any more.
DROP INDEX users_directory;
CREATE INDEX users_directory ON users (directory, user_id);
CREATE INDEX users_seen ON users (directory, user_id) WHERE NOT hidden;
-- The events of one type, of all directories and of one, and those of a directory, in the order of the feed.
CREATE INDEX feed_event ON feed (event, position);
CREATE INDEX feed_directory_event ON feed (directory, event, position);
CREATE INDEX feed_stream ON feed (directory, position);
