-- What is still to be done on hubs that live elsewhere. `key` is instance, slash, lower-case
-- registration id. A job belongs to nothing: what it has to take back elsewhere outlives the rows
-- that it was begun for.
CREATE TABLE job (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    doc TEXT NOT NULL
) STRICT;
