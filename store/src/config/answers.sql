-- Answers to requests that may come again. Bodies are sealed: some show a secret this once.
CREATE TABLE answers (
    key      BLOB PRIMARY KEY,
    request  BLOB NOT NULL,
    begun_at INTEGER NOT NULL,
    status   INTEGER,
    body     BLOB
) WITHOUT ROWID;
CREATE INDEX answers_begun_at ON answers (begun_at);
