-- What is still to be done on hubs that live elsewhere. `key` is instance, slash, lower-case
-- registration id. A job belongs to nothing: what it has to take back elsewhere outlives the rows
-- that it was begun for.
CREATE TABLE job (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    doc TEXT NOT NULL
) STRICT;

-- Who wants to hear of what happens, and the events on their way: a row for each of a subscription's,
-- under a revision of `meta` as its number, until it is delivered or purged.

CREATE TABLE event_subscription (
    name TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    doc TEXT NOT NULL
) STRICT;

CREATE TABLE event_delivery (
    number INTEGER NOT NULL PRIMARY KEY,
    subscription TEXT NOT NULL REFERENCES event_subscription (name) ON DELETE CASCADE,
    dead INTEGER NOT NULL CHECK (dead IN (0, 1)),
    doc TEXT NOT NULL
) STRICT;
CREATE INDEX event_delivery_by_subscription ON event_delivery (subscription, dead, number);
