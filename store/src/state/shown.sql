-- What apps are shown of users, where their attributes alone do not say it: as it is in the record. With it, what
-- apps find users by: who is hidden from them, and the address that an attribute map chose.
ALTER TABLE directories ADD COLUMN hidden_users INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN hidden INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN mapped_email TEXT;
ALTER TABLE users ADD COLUMN shown TEXT;
CREATE INDEX users_mapped_email ON users (directory, mapped_email) WHERE mapped_email IS NOT NULL;
CREATE INDEX users_mapped_idp_id ON users (directory, shown ->> '$.mapped.idp_id') WHERE shown IS NOT NULL;
