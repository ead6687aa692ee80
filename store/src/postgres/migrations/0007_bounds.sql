-- What rows are found by is bounded: what is longer than an index takes stands as its beginning and a digest. Some of
-- it may be here already, where it could be compressed.
UPDATE users SET name_key = left(name_key, 480) || encode(sha256(convert_to(name_key, 'UTF8')), 'hex')
    WHERE octet_length(name_key) > 2048;
UPDATE users SET external_id = left(external_id, 480) || encode(sha256(convert_to(external_id, 'UTF8')), 'hex')
    WHERE octet_length(external_id) > 2048;
UPDATE users SET email = left(email, 480) || encode(sha256(convert_to(email, 'UTF8')), 'hex')
    WHERE octet_length(email) > 2048;
UPDATE users SET mapped_email = left(mapped_email, 480) || encode(sha256(convert_to(mapped_email, 'UTF8')), 'hex')
    WHERE octet_length(mapped_email) > 2048;
UPDATE emails SET value = left(value, 480) || encode(sha256(convert_to(value, 'UTF8')), 'hex')
    WHERE octet_length(value) > 2048;
UPDATE groups SET name_key = left(name_key, 480) || encode(sha256(convert_to(name_key, 'UTF8')), 'hex')
    WHERE octet_length(name_key) > 2048;
UPDATE groups SET external_id = left(external_id, 480) || encode(sha256(convert_to(external_id, 'UTF8')), 'hex')
    WHERE octet_length(external_id) > 2048;
-- An older replica looks without this index until it is replaced; with it, one long value would stop its partition.
DROP INDEX users_mapped_idp_id;
CREATE INDEX users_mapped_idp_id ON users (directory, (left(shown #>> '{mapped,idp_id}', 480))) WHERE shown IS NOT NULL;

-- Lists pass over what those have left behind that are gone: a few, of many.
CREATE INDEX directories_gone ON directories (key) WHERE gone;
