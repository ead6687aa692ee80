-- The members of a group in the order of the lists of apps. Without the id of a user: apps do not see the user.
--
-- By triggers, so that it also holds for what a replica writes that does not know of this column. Users come first, as in
-- a batch of the projector: what waits for one that is under way waits before anything has been rewritten.
CREATE FUNCTION memberships_of_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE memberships SET user_id = CASE WHEN NEW.hidden THEN NULL ELSE NEW.user_id END WHERE user_key = NEW.key;
    RETURN NULL;
END $$;
CREATE TRIGGER memberships_of_user AFTER UPDATE OF user_id, hidden ON users
    FOR EACH ROW WHEN (OLD.hidden <> NEW.hidden OR OLD.user_id <> NEW.user_id)
    EXECUTE FUNCTION memberships_of_user();
ALTER TABLE memberships ADD COLUMN user_id bytea;
CREATE FUNCTION user_of_membership() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT users.user_id INTO NEW.user_id FROM users WHERE users.key = NEW.user_key AND NOT users.hidden;
    RETURN NEW;
END $$;
CREATE TRIGGER user_of_membership BEFORE INSERT ON memberships
    FOR EACH ROW WHEN (NEW.user_id IS NULL) EXECUTE FUNCTION user_of_membership();
UPDATE memberships SET user_id = users.user_id FROM users WHERE users.key = memberships.user_key AND NOT users.hidden;
CREATE INDEX memberships_user_id ON memberships (group_key, user_id) WHERE user_id IS NOT NULL;
