-- Of each subject's events that wait for a subscription the first one alone can be sent: it is
-- marked, so that one subject's queue is no other's. Numbers only grow, but a dead letter that is
-- tried again has its old one.
ALTER TABLE event_delivery ADD COLUMN subject TEXT
    AS (json_extract(doc, '$.event.source') || ' ' || json_extract(doc, '$.event.subject')) VIRTUAL;
ALTER TABLE event_delivery ADD COLUMN due TEXT AS (json_extract(doc, '$.due')) VIRTUAL;
ALTER TABLE event_delivery ADD COLUMN is_first INTEGER NOT NULL DEFAULT 0
    CHECK (is_first IN (0, 1));

CREATE INDEX event_delivery_by_subject
    ON event_delivery (subscription, subject, number) WHERE dead = 0;
CREATE INDEX event_delivery_first ON event_delivery (subscription, due, number) WHERE is_first = 1;

UPDATE event_delivery SET is_first = 1 WHERE number IN (
    SELECT min(number) FROM event_delivery WHERE dead = 0 GROUP BY subscription, subject
);

CREATE TRIGGER delivery_queued AFTER INSERT ON event_delivery WHEN NEW.dead = 0 BEGIN
    UPDATE event_delivery SET is_first = 1 WHERE number = NEW.number AND NEW.number = (
        SELECT min(number) FROM event_delivery
        WHERE subscription = NEW.subscription AND subject = NEW.subject AND dead = 0
    );
END;
CREATE TRIGGER delivery_removed AFTER DELETE ON event_delivery WHEN OLD.is_first = 1 BEGIN
    UPDATE event_delivery SET is_first = 1 WHERE number = (
        SELECT min(number) FROM event_delivery
        WHERE subscription = OLD.subscription AND subject = OLD.subject AND dead = 0
    );
END;
CREATE TRIGGER delivery_buried AFTER UPDATE OF dead ON event_delivery
WHEN NEW.dead = 1 AND OLD.is_first = 1 BEGIN
    UPDATE event_delivery SET is_first = 0 WHERE number = NEW.number;
    UPDATE event_delivery SET is_first = 1 WHERE number = (
        SELECT min(number) FROM event_delivery
        WHERE subscription = NEW.subscription AND subject = NEW.subject AND dead = 0
    );
END;
CREATE TRIGGER delivery_revived AFTER UPDATE OF dead ON event_delivery
WHEN NEW.dead = 0 AND OLD.dead = 1 BEGIN
    UPDATE event_delivery SET is_first = 0 WHERE number = (
        SELECT min(number) FROM event_delivery
        WHERE subscription = NEW.subscription AND subject = NEW.subject AND dead = 0
            AND number <> NEW.number
    );
    UPDATE event_delivery SET is_first = 1 WHERE number = (
        SELECT min(number) FROM event_delivery
        WHERE subscription = NEW.subscription AND subject = NEW.subject AND dead = 0
    );
END;
