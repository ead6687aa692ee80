DROP INDEX users_mapped_idp_id;
CREATE INDEX users_mapped_idp_id ON users (directory, mapped_idp_id) WHERE mapped_idp_id IS NOT NULL;
