-- What people and keys do outside SCIM. Rows are added, and get what came of them, once. Nothing else is ever done to
-- them, by whatever code: the triggers refuse it.
CREATE TABLE admin_events (
    id           BLOB PRIMARY KEY,
    action       TEXT NOT NULL,
    actor_kind   TEXT NOT NULL,
    actor        TEXT,
    actor_name   TEXT,
    ip           TEXT,
    user_agent   TEXT,
    request_id   TEXT,
    organization BLOB,
    targets      TEXT NOT NULL,
    made         TEXT,
    fields       TEXT NOT NULL,
    unrecorded   INTEGER NOT NULL,
    outcome      TEXT
) WITHOUT ROWID;
CREATE INDEX admin_events_organization ON admin_events (organization, id) WHERE organization IS NOT NULL;
CREATE INDEX admin_events_actor ON admin_events (actor, id) WHERE actor IS NOT NULL;
CREATE INDEX admin_events_action ON admin_events (action, id);
CREATE TRIGGER admin_events_stay BEFORE DELETE ON admin_events
BEGIN SELECT RAISE(ABORT, 'actions of the audit trail are never deleted'); END;
CREATE TRIGGER admin_events_end_once BEFORE UPDATE ON admin_events
WHEN OLD.outcome IS NOT NULL OR NEW.outcome IS NULL OR NEW.id <> OLD.id OR NEW.action <> OLD.action
    OR NEW.actor_kind <> OLD.actor_kind OR NEW.actor IS NOT OLD.actor OR NEW.targets <> OLD.targets
BEGIN SELECT RAISE(ABORT, 'actions of the audit trail get an outcome, once'); END;
-- Whom an identity provider has vouched for, of sessions that began with one.
ALTER TABLE console_sessions ADD COLUMN person TEXT;
