-- Whether an endpoint is sent probes alone, as its lane said last.
ALTER TABLE endpoints ADD COLUMN is_paused INTEGER NOT NULL DEFAULT 0;
-- How many attempts it has had, so that old ones are dropped every so many of its own.
ALTER TABLE endpoints ADD COLUMN attempted INTEGER NOT NULL DEFAULT 0;
