-- From when on a key signs, and until when it is shown once another has taken its place.
ALTER TABLE signing_keys ADD COLUMN signs_from INTEGER NOT NULL DEFAULT 0;
ALTER TABLE signing_keys ADD COLUMN shown_until INTEGER;
