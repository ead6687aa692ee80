-- When a token is void by itself, because another has taken its place.
ALTER TABLE tokens ADD COLUMN expires_at INTEGER;
