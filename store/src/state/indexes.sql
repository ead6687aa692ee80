-- Apart from the tables, so that a rebuild makes them when the rows are there.
CREATE UNIQUE INDEX users_scim_id ON users (scim_id);
CREATE UNIQUE INDEX users_user_id ON users (user_id);
CREATE UNIQUE INDEX users_name ON users (directory, name_key);
CREATE INDEX users_external_id ON users (directory, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX users_email ON users (directory, email) WHERE email IS NOT NULL;
CREATE INDEX users_inactive ON users (directory) WHERE active = 0;
CREATE INDEX users_updated_at ON users (directory, updated_at);
CREATE INDEX users_directory ON users (directory, user_id);
CREATE INDEX emails_user ON emails (user_key);
CREATE UNIQUE INDEX groups_scim_id ON groups (scim_id);
CREATE UNIQUE INDEX groups_group_id ON groups (group_id);
CREATE INDEX groups_name ON groups (directory, name_key);
CREATE INDEX groups_external_id ON groups (directory, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX groups_directory ON groups (directory, group_id);
CREATE INDEX memberships_user ON memberships (user_key, group_key);
