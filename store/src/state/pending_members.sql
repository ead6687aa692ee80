-- Members of groups that are no users yet. A directory without any asks for none: that is what the count in its
-- row is for.
ALTER TABLE directories ADD COLUMN pending_members INTEGER NOT NULL DEFAULT 0;
CREATE TABLE pending_members (
    group_key INTEGER NOT NULL,
    value     TEXT NOT NULL,
    name_key  TEXT NOT NULL,
    directory INTEGER NOT NULL,
    PRIMARY KEY (group_key, value)
) WITHOUT ROWID;
-- With all that is asked for, or the other one would be walked through instead.
CREATE INDEX pending_members_value ON pending_members (directory, value, name_key);
CREATE INDEX pending_members_name ON pending_members (directory, name_key);
