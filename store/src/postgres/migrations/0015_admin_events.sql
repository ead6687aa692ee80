-- What people and keys do outside SCIM. Rows are added, and get what came of them, once. Nothing else is ever done to
-- them, by whatever code: the triggers refuse it.
CREATE TABLE admin_events (
    id           bytea PRIMARY KEY,
    action       text NOT NULL,
    actor_kind   text NOT NULL,
    actor        text,
    actor_name   text,
    ip           text,
    user_agent   text,
    request_id   text,
    organization bytea,
    targets      text NOT NULL,
    made         text,
    fields       text NOT NULL,
    unrecorded   bigint NOT NULL,
    outcome      text
);
CREATE INDEX admin_events_organization ON admin_events (organization, id) WHERE organization IS NOT NULL;
CREATE INDEX admin_events_actor ON admin_events (actor, id) WHERE actor IS NOT NULL;
CREATE INDEX admin_events_action ON admin_events (action, id);
CREATE FUNCTION admin_events_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'actions of the audit trail get an outcome, once, and are never deleted';
END $$;
CREATE TRIGGER admin_events_stay BEFORE DELETE ON admin_events
    FOR EACH ROW EXECUTE FUNCTION admin_events_stay();
CREATE TRIGGER admin_events_end_once BEFORE UPDATE ON admin_events
    FOR EACH ROW WHEN (OLD.outcome IS NOT NULL OR NEW.outcome IS NULL OR NEW.id <> OLD.id
        OR NEW.action <> OLD.action OR NEW.actor_kind <> OLD.actor_kind
        OR NEW.actor IS DISTINCT FROM OLD.actor OR NEW.targets <> OLD.targets)
    EXECUTE FUNCTION admin_events_stay();
-- Whom an identity provider has vouched for, of sessions that began with one.
ALTER TABLE console_sessions ADD COLUMN person text;
