-- Lists pass over what they do not show by an index, however much there is of it in a row. That of all users of a
-- directory need not tell who is hidden any more.
DROP INDEX users_directory;
CREATE INDEX users_directory ON users (directory, user_id);
