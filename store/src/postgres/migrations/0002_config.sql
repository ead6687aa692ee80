-- What people have set up, and what deliveries have come to. Nothing can make this again.
--
-- Times are milliseconds, ids their 16 bytes. Lists and settings are JSON as text, which no query looks into. Secrets
-- that must be readable again are sealed under the master key; of all others there are digests.
--
-- Every change of configuration begins by counting up here, so changes come one after the other, and a replica that
-- has read a count knows all that was changed before it.
CREATE TABLE configuration (
    one           boolean PRIMARY KEY DEFAULT true CHECK (one),
    version       bigint NOT NULL DEFAULT 1,
    endpoints     bigint NOT NULL DEFAULT 1,
    refreshes     bigint NOT NULL DEFAULT 1,
    generation    bigint NOT NULL DEFAULT 1,
    general_rules text NOT NULL DEFAULT '{}',
    -- A known text, sealed: another master key does not open it.
    key_check     bytea
);
INSERT INTO configuration DEFAULT VALUES;
CREATE TABLE organizations (
    id          bytea PRIMARY KEY,
    name        text NOT NULL,
    external_id text COLLATE "C" UNIQUE,
    metadata    text NOT NULL,
    domains     text NOT NULL,
    created_at  bigint NOT NULL,
    updated_at  bigint NOT NULL
);
-- `directories` and `tokens` are what streams tell; these are what people have set up.
CREATE TABLE configured_directories (
    id               bytea PRIMARY KEY,
    organization     bytea NOT NULL,
    kind             text NOT NULL,
    name             text NOT NULL,
    external_key     text NOT NULL,
    endpoint_id      text COLLATE "C" NOT NULL UNIQUE,
    partition        bigint NOT NULL,
    deleting         boolean NOT NULL DEFAULT false,
    domains          text NOT NULL,
    created_at       bigint NOT NULL,
    updated_at       bigint NOT NULL,
    scim             text NOT NULL DEFAULT '{}',
    token_lifetime_s bigint NOT NULL DEFAULT 3600,
    debug_until      bigint,
    attribute_map    text NOT NULL DEFAULT '{}',
    inactive_users   text,
    role_mapping     text NOT NULL DEFAULT '{}'
);
CREATE TABLE configured_tokens (
    id               bytea PRIMARY KEY,
    directory        bytea NOT NULL REFERENCES configured_directories (id),
    digest           bytea NOT NULL UNIQUE,
    suffix           text NOT NULL,
    created_at       bigint NOT NULL,
    last_used_at     bigint,
    revoked          boolean NOT NULL DEFAULT false,
    is_client_secret boolean NOT NULL DEFAULT false
);
CREATE INDEX configured_tokens_directory ON configured_tokens (directory);
CREATE TABLE access_tokens (
    key        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest     bytea NOT NULL UNIQUE,
    directory  bytea NOT NULL REFERENCES configured_directories (id),
    secret     bytea NOT NULL REFERENCES configured_tokens (id),
    issued_at  bigint NOT NULL,
    expires_at bigint NOT NULL
);
CREATE INDEX access_tokens_directory ON access_tokens (directory, key);
CREATE INDEX access_tokens_expires_at ON access_tokens (expires_at);
CREATE TABLE api_keys (
    id           bytea PRIMARY KEY,
    name         text NOT NULL,
    digest       bytea NOT NULL UNIQUE,
    suffix       text NOT NULL,
    permission   text NOT NULL,
    organization bytea,
    created_at   bigint NOT NULL,
    last_used_at bigint
);
CREATE TABLE kept_answers (
    key      bytea PRIMARY KEY,
    request  bytea NOT NULL,
    begun_at bigint NOT NULL,
    status   bigint,
    body     bytea
);
CREATE INDEX kept_answers_begun_at ON kept_answers (begun_at);
CREATE TABLE scim_requests (
    directory     bytea NOT NULL,
    id            bytea NOT NULL,
    at            bigint NOT NULL,
    method        text NOT NULL,
    path          text NOT NULL,
    status        bigint NOT NULL,
    scim_type     text,
    detail        text,
    duration_us   bigint NOT NULL,
    events        bigint NOT NULL,
    tolerated     text NOT NULL,
    request_body  text,
    response_body text,
    PRIMARY KEY (directory, id)
);
-- Whoever works on a job holds it until then, and others pass it over.
CREATE TABLE refreshes (
    directory  bytea PRIMARY KEY REFERENCES configured_directories (id),
    version    bigint NOT NULL,
    cursor     bytea,
    done       bigint NOT NULL DEFAULT 0,
    total      bigint NOT NULL DEFAULT 0,
    finished   boolean NOT NULL DEFAULT false,
    holder     bytea,
    held_until timestamptz
);
CREATE TABLE signing_keys (
    id          bytea PRIMARY KEY,
    seed        bytea NOT NULL,
    created_at  bigint NOT NULL,
    signs_from  bigint NOT NULL DEFAULT 0,
    shown_until bigint
);
-- The dispatchers that live: each counts until its time, unless it says in time that it lives on.
CREATE TABLE dispatchers (
    id         bytea PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
-- A lane belongs to its holder while that one lives. Each change of hands raises the epoch, and what is written
-- under an earlier one is refused.
CREATE TABLE endpoints (
    id                 bytea PRIMARY KEY,
    url                text COLLATE "C" NOT NULL UNIQUE,
    events             text NOT NULL,
    enabled            boolean NOT NULL,
    delivery_order     text NOT NULL,
    secret             bytea NOT NULL,
    disabled_reason    text,
    created_at         bigint NOT NULL,
    updated_at         bigint NOT NULL,
    format             text NOT NULL,
    kind               text NOT NULL,
    retry_schedule     text,
    organizations      text NOT NULL,
    directories        text NOT NULL,
    timeout_ms         bigint,
    client_certificate text,
    client_key         bytea,
    public_key         text,
    private_key        bytea,
    cursor             bigint NOT NULL,
    done               bytea NOT NULL DEFAULT '',
    failing_since      bigint,
    failed_in_a_row    bigint NOT NULL DEFAULT 0,
    is_told            boolean NOT NULL DEFAULT false,
    -- How many there have been, to know when old ones are due to go.
    attempted          bigint NOT NULL DEFAULT 0,
    holder             bytea,
    epoch              bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE TABLE retired_secrets (
    key      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint bytea NOT NULL REFERENCES endpoints (id) ON DELETE CASCADE,
    secret   bytea NOT NULL,
    until    bigint NOT NULL
);
CREATE INDEX retired_secrets_endpoint ON retired_secrets (endpoint);
CREATE TABLE blocked_lines (
    owner         bytea NOT NULL REFERENCES endpoints (id) ON DELETE CASCADE,
    line          text COLLATE "C" NOT NULL,
    from_position bigint NOT NULL,
    failures      bigint NOT NULL,
    due_at        bigint,
    PRIMARY KEY (owner, line)
);
CREATE TABLE replays (
    id          bytea PRIMARY KEY,
    endpoint    bytea NOT NULL REFERENCES endpoints (id) ON DELETE CASCADE,
    directories text NOT NULL,
    events      text NOT NULL,
    rate        bigint NOT NULL,
    cursor      bigint NOT NULL,
    done        bytea NOT NULL DEFAULT '',
    up_to       bigint NOT NULL,
    total       bigint NOT NULL,
    delivered   bigint NOT NULL DEFAULT 0,
    exhausted   bigint NOT NULL DEFAULT 0,
    created_at  bigint NOT NULL,
    finished_at bigint,
    holder      bytea,
    epoch       bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE INDEX replays_endpoint ON replays (endpoint);
CREATE TABLE replay_lines (
    owner         bytea NOT NULL REFERENCES replays (id) ON DELETE CASCADE,
    line          text COLLATE "C" NOT NULL,
    from_position bigint NOT NULL,
    failures      bigint NOT NULL,
    due_at        bigint,
    PRIMARY KEY (owner, line)
);
CREATE TABLE attempts (
    key         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint    bytea NOT NULL REFERENCES endpoints (id) ON DELETE CASCADE,
    event_id    bytea NOT NULL,
    position    bigint NOT NULL,
    attempt     bigint NOT NULL,
    at          bigint NOT NULL,
    duration_ms bigint NOT NULL,
    status      bigint,
    failure     text,
    exhausted   boolean NOT NULL,
    replay      bytea,
    -- How the answer to a failed one begins.
    answer      bytea
);
CREATE INDEX attempts_endpoint ON attempts (endpoint, key);
CREATE INDEX attempts_at ON attempts (at);
-- What the operator is told. Positions are given out under the lock of the one row that counts them, so that none
-- becomes visible behind one that was read; none is used twice, though old rows go.
CREATE TABLE told (
    one  boolean PRIMARY KEY DEFAULT true CHECK (one),
    last bigint NOT NULL DEFAULT 0
);
INSERT INTO told DEFAULT VALUES;
CREATE TABLE operational_events (
    position bigint PRIMARY KEY,
    id       bytea NOT NULL,
    event    text NOT NULL,
    at       bigint NOT NULL,
    data     text NOT NULL
);
