-- Every document is JSON text in `doc`; the other columns are what is looked up or ordered by.
-- Revisions, change sequence numbers and audit numbers come from the one row of `meta`.

CREATE TABLE meta (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    revision INTEGER NOT NULL,
    change_seq INTEGER NOT NULL,
    audit_seq INTEGER NOT NULL
) STRICT;
INSERT INTO meta (only, revision, change_seq, audit_seq) VALUES (1, 0, 0, 0);

CREATE TABLE dps (
    name TEXT NOT NULL PRIMARY KEY,
    generation INTEGER NOT NULL,
    doc TEXT NOT NULL
) STRICT;

-- Counts kept beside the rows, since counting a million rows for each registration is too dear.
CREATE TABLE tally (
    dps TEXT NOT NULL PRIMARY KEY REFERENCES dps (name) ON DELETE CASCADE,
    individuals INTEGER NOT NULL DEFAULT 0,
    registrations_counted INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE ca_certificate (
    dps TEXT NOT NULL REFERENCES dps (name) ON DELETE CASCADE,
    key TEXT NOT NULL,
    created INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    doc TEXT NOT NULL,
    PRIMARY KEY (dps, key)
) STRICT;

CREATE TABLE enrollment_group (
    dps TEXT NOT NULL REFERENCES dps (name) ON DELETE CASCADE,
    key TEXT NOT NULL,
    created INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    doc TEXT NOT NULL,
    PRIMARY KEY (dps, key)
) STRICT;

CREATE TABLE individual (
    dps TEXT NOT NULL REFERENCES dps (name) ON DELETE CASCADE,
    key TEXT NOT NULL,
    created INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    doc TEXT NOT NULL,
    PRIMARY KEY (dps, key)
) STRICT;

-- `content` is the hash of what was signed, which no rewritten signature changes.
CREATE TABLE individual_leaf (
    dps TEXT NOT NULL,
    content BLOB NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (dps, content, key),
    FOREIGN KEY (dps, key) REFERENCES individual (dps, key) ON DELETE CASCADE
) STRICT;
CREATE INDEX individual_leaf_by_entry ON individual_leaf (dps, key);

-- `owner_kind` is 0 for an individual enrollment, 1 for a group.
CREATE TABLE registration (
    dps TEXT NOT NULL REFERENCES dps (name) ON DELETE CASCADE,
    key TEXT NOT NULL,
    owner_kind INTEGER NOT NULL CHECK (owner_kind IN (0, 1)),
    owner_key TEXT NOT NULL,
    owner_created INTEGER NOT NULL,
    counts INTEGER NOT NULL CHECK (counts IN (0, 1)),
    updated INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    doc TEXT NOT NULL,
    PRIMARY KEY (dps, key)
) STRICT;
CREATE INDEX registration_by_owner ON registration (dps, owner_kind, owner_key, key);
CREATE INDEX registration_refused
    ON registration (dps, owner_kind, owner_key, owner_created, updated, key) WHERE counts = 0;

CREATE TABLE hub (
    name TEXT NOT NULL PRIMARY KEY,
    host TEXT NOT NULL UNIQUE,
    revision INTEGER NOT NULL,
    doc TEXT NOT NULL
) STRICT;

CREATE TABLE device (
    hub TEXT NOT NULL REFERENCES hub (host) ON DELETE CASCADE ON UPDATE CASCADE,
    id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    doc TEXT NOT NULL,
    PRIMARY KEY (hub, id)
) STRICT;

CREATE TABLE twin (
    hub TEXT NOT NULL,
    id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    doc TEXT NOT NULL,
    PRIMARY KEY (hub, id),
    FOREIGN KEY (hub, id) REFERENCES device (hub, id) ON DELETE CASCADE ON UPDATE CASCADE
) STRICT;

CREATE TABLE change (
    seq INTEGER NOT NULL PRIMARY KEY,
    scope TEXT NOT NULL
) STRICT;

CREATE TABLE audit (
    seq INTEGER NOT NULL PRIMARY KEY,
    line TEXT NOT NULL
) STRICT;

CREATE TRIGGER dps_tallied AFTER INSERT ON dps BEGIN
    INSERT INTO tally (dps) VALUES (NEW.name);
END;

CREATE TRIGGER individual_added AFTER INSERT ON individual BEGIN
    UPDATE tally SET individuals = individuals + 1 WHERE dps = NEW.dps;
END;
CREATE TRIGGER individual_removed AFTER DELETE ON individual BEGIN
    UPDATE tally SET individuals = individuals - 1 WHERE dps = OLD.dps;
END;

CREATE TRIGGER registration_added AFTER INSERT ON registration WHEN NEW.counts = 1 BEGIN
    UPDATE tally SET registrations_counted = registrations_counted + 1 WHERE dps = NEW.dps;
END;
CREATE TRIGGER registration_changed AFTER UPDATE OF counts ON registration
WHEN NEW.counts <> OLD.counts BEGIN
    UPDATE tally SET registrations_counted = registrations_counted + NEW.counts - OLD.counts
    WHERE dps = NEW.dps;
END;
CREATE TRIGGER registration_removed AFTER DELETE ON registration WHEN OLD.counts = 1 BEGIN
    UPDATE tally SET registrations_counted = registrations_counted - 1 WHERE dps = OLD.dps;
END;
