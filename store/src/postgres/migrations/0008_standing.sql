-- Whether an endpoint is sent probes alone, as its lane said last.
ALTER TABLE endpoints ADD COLUMN is_paused boolean NOT NULL DEFAULT false;
