-- What only the right master key opens.
ALTER TABLE meta ADD COLUMN key_check BLOB;
