-- The members of a group in the order of the lists of apps. Without the id of a user: apps do not see the user.
ALTER TABLE memberships ADD COLUMN user_id BLOB;
UPDATE memberships SET user_id = (SELECT user_id FROM users WHERE key = user_key AND hidden = 0);
-- The events of one type, of all directories and of one. Each entry goes behind the last of its type.
CREATE INDEX feed_event ON feed (event);
CREATE INDEX feed_directory_event ON feed (directory, event);
CREATE INDEX memberships_user_id ON memberships (group_key, user_id) WHERE user_id IS NOT NULL;
-- Most users are called by their address, and are found by their name: an index that stands in no order costs a
-- creation more than all that are written at their end.
DROP INDEX users_email;
CREATE INDEX users_email ON users (directory, email) WHERE email <> name_key;
