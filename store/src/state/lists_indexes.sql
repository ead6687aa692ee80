CREATE INDEX memberships_user_id ON memberships (group_key, user_id) WHERE user_id IS NOT NULL;
-- Most users are called by their address, and are found by their name: an index that stands in no order costs a
-- creation more than all that are written at their end.
DROP INDEX users_email;
CREATE INDEX users_email ON users (directory, email) WHERE email <> name_key;
