//! One commit, inside the writer's transaction.

use model::Revision;
use rusqlite::{Connection, ffi};
use store::{Commit, Committed, Condition, Write};

use crate::error::{Fault, Kind};
use crate::records::Written;
use crate::{changes, devices, enrollments, events, hubs, instances, jobs, registrations, sql};

/// Why a commit was not applied.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// A row that it rests on is not as it was.
    Conflict(Box<Condition>),
    /// A statement failed.
    Fault(Fault),
}

impl Refusal {
    /// Whether there was no room.
    pub(crate) fn is_for_room(&self) -> bool {
        matches!(self, Self::Fault(fault) if fault.kind() == Kind::Full)
    }
}

impl<F: Into<Fault>> From<F> for Refusal {
    fn from(fault: F) -> Self {
        Self::Fault(fault.into())
    }
}

/// The numbers that were given out last, of the one row of `meta`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) revision: i64,
    pub(crate) change_seq: i64,
    pub(crate) audit_seq: i64,
}

impl Counters {
    pub(crate) fn load(connection: &Connection) -> Result<Self, Fault> {
        let sql = "SELECT revision, change_seq, audit_seq FROM meta";
        Ok(connection.prepare_cached(sql)?.query_row([], |row| {
            Ok(Self { revision: row.get(0)?, change_seq: row.get(1)?, audit_seq: row.get(2)? })
        })?)
    }

    pub(crate) fn save(self, connection: &Connection) -> Result<(), Fault> {
        sql::run(
            connection,
            "UPDATE meta SET revision = ?1, change_seq = ?2, audit_seq = ?3",
            (self.revision, self.change_seq, self.audit_seq),
        )?;
        Ok(())
    }
}

/// What is undone when a write of a commit fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undo {
    /// The whole transaction, by whoever holds the connection.
    All,
    /// That commit, which has a savepoint for it.
    One,
}

/// The writer's transaction, as a write sees it.
#[derive(Debug)]
pub(crate) struct Applying<'t> {
    pub(crate) connection: &'t Connection,
    pub(crate) counters: Counters,
    pub(crate) undo: Undo,
    /// Whether a commit was refused of which some is in the transaction.
    pub(crate) spoiled: bool,
    /// The registration records of the transaction, oldest revision first.
    pub(crate) written: Vec<Written>,
}

impl Applying<'_> {
    /// A revision that no row ever had.
    pub(crate) const fn next_revision(&mut self) -> i64 {
        self.counters.revision += 1;
        self.counters.revision
    }

    /// Applies a commit, or leaves the transaction as it was, unless it says that it is spoiled.
    ///
    /// After a fault the transaction may be gone: whoever holds the connection must look.
    pub(crate) fn apply(&mut self, commit: &Commit) -> Result<Committed, Refusal> {
        for condition in &commit.conditions {
            if !self.holds(condition)? {
                return Err(Refusal::Conflict(Box::new(condition.clone())));
            }
        }
        if self.undo == Undo::All {
            return self.write(commit).inspect_err(|_| self.spoiled = true);
        }
        let (before, written) = (self.counters, self.written.len());
        self.savepoint("SAVEPOINT one")?;
        match self.write(commit) {
            Ok(committed) => {
                self.savepoint("RELEASE one")?;
                Ok(committed)
            }
            Err(refusal) => {
                self.counters = before;
                self.written.truncate(written);
                if !self.connection.is_autocommit() {
                    self.savepoint("ROLLBACK TO one")?;
                    self.savepoint("RELEASE one")?;
                }
                Err(refusal)
            }
        }
    }

    fn savepoint(&self, sql: &str) -> Result<(), Fault> {
        sql::run(self.connection, sql, []).map(|_| ())
    }

    fn holds(&self, condition: &Condition) -> Result<bool, Fault> {
        let connection = self.connection;
        let (found, at) = match condition {
            Condition::Individual { dps, id, at } => {
                (enrollments::individual_revision(connection, dps, id)?, *at)
            }
            Condition::IndividualsByLeaf { dps, thumbprint, at } => {
                return Ok(enrollments::leaf_revisions(connection, dps, thumbprint)? == *at);
            }
            Condition::AtMost { dps, of, count } => {
                return Ok(instances::count(connection, dps, *of)? <= *count);
            }
            Condition::Unclaimed(claim) => {
                let all_dps = instances::all(connection)?;
                return Ok(!all_dps.iter().any(|dps| claim.is_of_dps(&dps.value))
                    && !hubs::all(connection)?.iter().any(|hub| claim.is_of_hub(&hub.value)));
            }
            Condition::Instance { dps, generation } => {
                (instances::generation(connection, dps)?, *generation)
            }
            Condition::Group { dps, id, at } => {
                (instances::group_revision(connection, dps, id)?, *at)
            }
            Condition::CaCertificate { dps, name, at } => {
                (instances::ca_certificate_revision(connection, dps, name)?, *at)
            }
            Condition::Registration { dps, id, at } => {
                (registrations::registration_revision(connection, dps, id)?, *at)
            }
            Condition::Job { dps, id, at } => (jobs::job_revision(connection, dps, id)?, *at),
            Condition::Hub { name, at } => (hubs::hub_revision(connection, name)?, *at),
            Condition::Device { hub, id, at } => {
                (devices::device_revision(connection, hub, id)?, *at)
            }
            Condition::Twin { hub, id, at } => (devices::twin_revision(connection, hub, id)?, *at),
            Condition::Subscription { name, at } => {
                (events::subscription_revision(connection, name)?, *at)
            }
        };
        Ok(found == at)
    }

    fn write(&mut self, commit: &Commit) -> Result<Committed, Refusal> {
        for write in &commit.writes {
            self.write_row(write).map_err(|fault| self.refusal(write, fault))?;
        }
        let seq = changes::write_changes(self, &commit.changes)?;
        changes::write_audit(self, &commit.audit)?;
        Ok(Committed { seq })
    }

    fn write_row(&mut self, write: &Write) -> Result<(), Fault> {
        match write {
            Write::Dps(value) => instances::write_dps(self, value),
            Write::DeleteDps(name) => instances::delete_dps(self, name),
            Write::CaCertificate(dps, value) => instances::write_ca_certificate(self, dps, value),
            Write::DeleteCaCertificate(dps, name) => {
                instances::delete_ca_certificate(self, dps, name)
            }
            Write::Individual(dps, value) => enrollments::write_individual(self, dps, value),
            Write::DeleteIndividual(dps, id) => enrollments::delete_individual(self, dps, id),
            Write::Group(dps, value) => instances::write_group(self, dps, value),
            Write::DeleteGroup(dps, id) => instances::delete_group(self, dps, id),
            Write::Registration(dps, value) => registrations::write_registration(self, dps, value),
            Write::DeleteRegistration(dps, id) => registrations::delete_registration(self, dps, id),
            Write::DeleteRegistrationsOwnedBy(dps, owner) => {
                registrations::delete_owned_by(self, dps, owner)
            }
            Write::BoundRefused(bound) => registrations::bound_refused(self, bound),
            Write::Job(value) => jobs::write_job(self, value),
            Write::DeleteJob(dps, id) => jobs::delete_job(self, dps, id),
            Write::Hub(value) => hubs::write_hub(self, value),
            Write::DeleteHub(name) => hubs::delete_hub(self, name),
            Write::Device(hub, value) => devices::write_device(self, hub, value),
            Write::DeleteDevice(hub, id) => devices::delete_device(self, hub, id),
            Write::Twin(hub, id, value) => devices::write_twin(self, hub, id, value),
            Write::Subscription(value) => events::write_subscription(self, value),
            Write::DeleteSubscription(name) => events::delete_subscription(self, name),
            Write::Delivery(value) => events::write_delivery(self, value),
            Write::Redelivery(number, value) => events::rewrite_delivery(self, *number, value),
            Write::DeleteDelivery(number) => events::delete_delivery(self, *number),
        }
    }

    /// Tells a row that lacks what it belongs to, or is in another's place, from a failure.
    fn refusal(&self, write: &Write, fault: Fault) -> Refusal {
        let in_the_way = match fault.constraint() {
            Some(ffi::SQLITE_CONSTRAINT_FOREIGNKEY) => Ok(missing(write)),
            Some(ffi::SQLITE_CONSTRAINT_UNIQUE) => self.in_the_way(write),
            Some(_) | None => Ok(None),
        };
        match in_the_way {
            Ok(Some(condition)) => Refusal::Conflict(Box::new(condition)),
            Ok(None) => Refusal::Fault(fault),
            Err(fault) => Refusal::Fault(fault),
        }
    }

    fn in_the_way(&self, write: &Write) -> Result<Option<Condition>, Fault> {
        let Write::Hub(hub) = write else {
            return Ok(None);
        };
        let found = hubs::hub_of_host(self.connection, &hub.host)?;
        Ok(found.map(|(name, revision)| Condition::Hub { name, at: Some(revision) }))
    }
}

/// What a row belongs to, said to be absent.
fn missing(write: &Write) -> Option<Condition> {
    match write {
        Write::CaCertificate(dps, _)
        | Write::Individual(dps, _)
        | Write::Group(dps, _)
        | Write::Registration(dps, _) => {
            Some(Condition::Instance { dps: dps.clone(), generation: None })
        }
        Write::Device(hub, device) => Some(Condition::Device {
            hub: hub.clone(),
            id: device.device_id.clone(),
            at: None::<Revision>,
        }),
        Write::Twin(hub, id, _) => {
            Some(Condition::Device { hub: hub.clone(), id: id.clone(), at: None })
        }
        Write::Dps(_)
        | Write::DeleteDps(_)
        | Write::DeleteCaCertificate(..)
        | Write::DeleteIndividual(..)
        | Write::DeleteGroup(..)
        | Write::DeleteRegistration(..)
        | Write::DeleteRegistrationsOwnedBy(..)
        | Write::BoundRefused(_)
        | Write::Job(_)
        | Write::DeleteJob(..)
        | Write::Hub(_)
        | Write::DeleteHub(_)
        | Write::DeleteDevice(..)
        | Write::Subscription(_)
        | Write::DeleteSubscription(_)
        | Write::Delivery(_)
        | Write::Redelivery(..)
        | Write::DeleteDelivery(_) => None,
    }
}
