-- What apps are shown of a directory's users, as JSON. Without a policy of its own for inactive users a
-- directory has the general one, which the settings gave at the last start.
ALTER TABLE directories ADD COLUMN attribute_map TEXT NOT NULL DEFAULT '{}';
ALTER TABLE directories ADD COLUMN inactive_users TEXT;
ALTER TABLE directories ADD COLUMN role_mapping TEXT NOT NULL DEFAULT '{}';
ALTER TABLE meta ADD COLUMN general_rules TEXT NOT NULL DEFAULT '{}';
-- Who has to be shown what other rules make of them: where that job stands. The version rises with each
-- change of the rules, and a change begins the job anew. What apps were told before is with each user.
CREATE TABLE refreshes (
    directory BLOB PRIMARY KEY REFERENCES directories (id),
    version   INTEGER NOT NULL,
    cursor    BLOB,
    done      INTEGER NOT NULL DEFAULT 0,
    total     INTEGER NOT NULL DEFAULT 0,
    finished  INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
