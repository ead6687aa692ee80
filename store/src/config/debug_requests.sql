-- Until when bodies are kept with the requests of a directory, and the bodies.
ALTER TABLE directories ADD COLUMN debug_until INTEGER;
ALTER TABLE scim_requests ADD COLUMN request_body TEXT;
ALTER TABLE scim_requests ADD COLUMN response_body TEXT;
