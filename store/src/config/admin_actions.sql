-- What people and keys do outside SCIM. Rows are added, and get what came of them, once. Nothing else is ever done to
-- them, by whatever code: the triggers refuse it.
CREATE TABLE admin_actions (
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
CREATE INDEX admin_actions_organization ON admin_actions (organization, id) WHERE organization IS NOT NULL;
CREATE INDEX admin_actions_actor ON admin_actions (actor, id) WHERE actor IS NOT NULL;
CREATE INDEX admin_actions_action ON admin_actions (action, id);
CREATE TRIGGER admin_actions_stay BEFORE DELETE ON admin_actions
BEGIN SELECT RAISE(ABORT, 'actions of the audit trail are never deleted'); END;
CREATE TRIGGER admin_actions_end_once BEFORE UPDATE ON admin_actions
WHEN OLD.outcome IS NOT NULL OR NEW.outcome IS NULL OR NEW.id <> OLD.id OR NEW.action <> OLD.action
    OR NEW.actor_kind <> OLD.actor_kind OR NEW.actor IS NOT OLD.actor OR NEW.targets <> OLD.targets
BEGIN SELECT RAISE(ABORT, 'actions of the audit trail get an outcome, once'); END;
-- Whom an identity provider has vouched for, of sessions that began with one.
ALTER TABLE console_sessions ADD COLUMN person TEXT;
