-- The tokens of one directory, of ten thousand.
CREATE INDEX tokens_directory ON tokens (directory);
-- The failed attempts among many that succeeded.
CREATE INDEX attempts_failed ON attempts (endpoint) WHERE failure IS NOT NULL;
