-- Links to the setup page, and the session of who has opened one. Digests of what opens them, never the texts.
CREATE TABLE portal_links (
    id                 BLOB PRIMARY KEY,
    digest             BLOB NOT NULL UNIQUE,
    organization       BLOB NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    return_url         TEXT,
    success_url        TEXT,
    created_by         BLOB,
    created_at         INTEGER NOT NULL,
    expires_at         INTEGER NOT NULL,
    used_at            INTEGER,
    revoked_at         INTEGER,
    session            BLOB UNIQUE,
    session_expires_at INTEGER
) WITHOUT ROWID;
CREATE INDEX portal_links_organization ON portal_links (organization);
