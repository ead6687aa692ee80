-- The lists of apps pass over who is hidden without looking at the rows.
DROP INDEX users_directory;
CREATE INDEX users_directory ON users (directory, user_id, hidden);
CREATE INDEX users_mapped_email ON users (directory, mapped_email) WHERE mapped_email IS NOT NULL;
CREATE INDEX users_mapped_idp_id ON users (directory, shown ->> '$.mapped.idp_id') WHERE shown IS NOT NULL;
