-- The id that an attribute map chose, in a column of its own: a function in an index makes SQLite keep what each page was
-- before a statement that writes several users.
ALTER TABLE users ADD COLUMN mapped_idp_id TEXT;
UPDATE users SET mapped_idp_id = shown ->> '$.mapped.idp_id'
    WHERE shown ->> '$.mapped.idp_id' IS NOT NULL;
DROP INDEX users_mapped_idp_id;
CREATE INDEX users_mapped_idp_id ON users (directory, mapped_idp_id) WHERE mapped_idp_id IS NOT NULL;
