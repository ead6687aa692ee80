-- Host names under which directories are reached: those of one directory, or of all of an organization.
CREATE TABLE host_names (
    id           bytea PRIMARY KEY,
    name         text NOT NULL UNIQUE,
    organization bytea NOT NULL,
    directory    bytea,
    created_at   bigint NOT NULL
);
CREATE INDEX host_names_organization ON host_names (organization);

-- Links to the setup page, and the session of who has opened one. Digests of what opens them, never the texts.
CREATE TABLE portal_links (
    id                 bytea PRIMARY KEY,
    digest             bytea NOT NULL UNIQUE,
    organization       bytea NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    return_url         text,
    success_url        text,
    created_by         bytea,
    created_at         bigint NOT NULL,
    expires_at         bigint NOT NULL,
    used_at            bigint,
    revoked_at         bigint,
    session            bytea UNIQUE,
    session_expires_at bigint
);
CREATE INDEX portal_links_organization ON portal_links (organization, id);
