-- When a token is void by itself, because another has taken its place.
ALTER TABLE configured_tokens ADD COLUMN expires_at bigint;
