-- The failed attempts among many that succeeded.
CREATE INDEX attempts_failed ON attempts (endpoint, key) WHERE failure IS NOT NULL;
