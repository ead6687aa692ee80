-- Why no projector follows a partition any further. Nothing is appended to it while that is so.
ALTER TABLE positions ADD COLUMN stopped text;
-- A handful among all, and asked for every few seconds.
CREATE INDEX directories_stopped ON directories (key) WHERE stopped;
