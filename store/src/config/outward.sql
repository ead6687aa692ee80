-- How requests to an endpoint leave, and what they are signed with beside its secret; keys are sealed as secrets are.
ALTER TABLE endpoints ADD COLUMN timeout_ms INTEGER;
ALTER TABLE endpoints ADD COLUMN client_certificate TEXT;
ALTER TABLE endpoints ADD COLUMN client_key BLOB;
ALTER TABLE endpoints ADD COLUMN public_key TEXT;
ALTER TABLE endpoints ADD COLUMN private_key BLOB;
-- Secrets that sign on for a while after a rotation; the later row is the later secret.
CREATE TABLE retired_secrets (
    key      INTEGER PRIMARY KEY,
    endpoint BLOB NOT NULL REFERENCES endpoints (id) ON DELETE CASCADE,
    secret   BLOB NOT NULL,
    until    INTEGER NOT NULL
);
CREATE INDEX retired_secrets_endpoint ON retired_secrets (endpoint);
