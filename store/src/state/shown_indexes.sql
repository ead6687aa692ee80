CREATE INDEX users_mapped_email ON users (directory, mapped_email) WHERE mapped_email IS NOT NULL;
CREATE INDEX users_mapped_idp_id ON users (directory, shown ->> '$.mapped.idp_id') WHERE shown IS NOT NULL;
