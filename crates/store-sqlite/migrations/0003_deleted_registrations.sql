-- How many registrations were ever deleted: what a TPM's challenge is bound to where there is no
-- record, so that one which a deleted record has consumed stays consumed.
ALTER TABLE tally ADD COLUMN registrations_deleted INTEGER NOT NULL DEFAULT 0;

CREATE TRIGGER registration_deleted AFTER DELETE ON registration BEGIN
    UPDATE tally SET registrations_deleted = registrations_deleted + 1 WHERE dps = OLD.dps;
END;
