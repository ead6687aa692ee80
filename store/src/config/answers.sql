-- Answers to requests that may come again. Bodies are sealed: some show a secret this once.
CREATE TABLE kept_answers (
    key      BLOB PRIMARY KEY,
    request  BLOB NOT NULL,
    begun_at INTEGER NOT NULL,
    status   INTEGER,
    body     BLOB
) WITHOUT ROWID;
CREATE INDEX kept_answers_begun_at ON kept_answers (begun_at);
