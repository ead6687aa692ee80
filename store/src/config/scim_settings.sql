-- How the SCIM service of a directory behaves, as JSON; what is not there is as it is by default.
ALTER TABLE directories ADD COLUMN scim TEXT NOT NULL DEFAULT '{}';
