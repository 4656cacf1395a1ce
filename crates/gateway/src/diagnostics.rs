//! Resource logs: what the drivers did, one line each, to whoever keeps them.
//!
//! Where nobody does, nothing is noted. Else what a call comes to know of itself is noted in its
//! task, and written when it ends: to a queue of bounded length, which no call waits for; what
//! finds no room there is dropped and counted.

use std::io::Write;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dialect::rest::error::WireError;
use dialect::rest::resource;
use dialect::rest::resource_log::{
    Category, Failed, Record, addressed_id, hub_operation, line, service_operation,
};
use model::{DeviceId, HostName, RegistrationId, ServiceName};
use prometheus_client::metrics::counter::Counter;

use crate::Gateway;
use crate::metrics::{Operation, Outcome};

/// Lines that wait to be written; some 5 MB. Source: ours.
const LINES_MAX: usize = 8_192;
/// Lines that are written before they are flushed.
const BATCH_LINES: usize = 512;

/// Where resource logs go.
#[derive(Debug)]
pub struct Diagnostics {
    categories: Vec<Category>,
    lines: SyncSender<Vec<u8>>,
    pub(crate) dropped: Counter,
}

impl Diagnostics {
    /// Writes lines of these categories to `sink`, on a thread of its own that ends with this.
    ///
    /// # Errors
    /// What keeps a thread from being started.
    pub fn start(
        sink: impl Write + Send + 'static,
        categories: Vec<Category>,
    ) -> std::io::Result<Self> {
        let (lines, queue) = sync_channel(LINES_MAX);
        let thread = std::thread::Builder::new().name("diagnostics".to_owned());
        thread.spawn(move || write_all(sink, &queue))?;
        Ok(Self { categories, lines, dropped: Counter::default() })
    }

    fn write(&self, record: &Record<'_>) {
        if !self.categories.contains(&record.category) {
            return;
        }
        if let Some(line) = line(record)
            && let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
                self.lines.try_send(line)
        {
            self.dropped.inc();
        }
    }
}

fn write_all(mut sink: impl Write, queue: &Receiver<Vec<u8>>) {
    let mut is_failing = false;
    while let Ok(first) = queue.recv() {
        let batch = std::iter::once(first).chain(queue.try_iter().take(BATCH_LINES));
        let written = batch.collect::<Vec<_>>().concat();
        let outcome = sink.write_all(&written).and_then(|()| sink.flush());
        match (&outcome, is_failing) {
            (Err(error), false) => tracing::error!(%error, "resource logs can not be written"),
            (Ok(()), true) => tracing::info!("resource logs can be written again"),
            (Ok(()), false) | (Err(_), true) => {}
        }
        is_failing = outcome.is_err();
    }
}

/// How a call begins.
#[derive(Debug)]
pub(crate) struct Begun {
    /// The id that its caller is told; none where it is made for a refusal alone.
    pub(crate) tracking_id: Option<String>,
    /// The protocol.
    pub(crate) protocol: &'static str,
    /// Where it comes from.
    pub(crate) caller: IpAddr,
    /// The method, path and query of HTTP.
    pub(crate) http: Option<(String, String, String)>,
}

/// What is known of a call, as it goes on.
#[derive(Debug)]
struct Notes {
    begun: Begun,
    dps: Option<ServiceName>,
    registration: Option<RegistrationId>,
    hub: Option<HostName>,
    device: Option<DeviceId>,
    policy: Option<String>,
    counted: Option<(Operation, Outcome, Duration)>,
    failed: Option<(u16, String)>,
}

tokio::task_local! {
    static NOTES: Arc<Mutex<Notes>>;
}

impl Begun {
    /// Of a packet on a connection, if anybody wants to know.
    pub(crate) fn packet(
        gateway: &Gateway,
        protocol: &'static str,
        caller: IpAddr,
    ) -> Option<Self> {
        gateway.metrics.diagnostics()?;
        Some(Self { tracking_id: None, protocol, caller, http: None })
    }
}

/// Does `work`, and writes what was noted of it.
pub(crate) async fn noted<T>(
    gateway: &Gateway,
    begun: Option<Begun>,
    work: impl Future<Output = T>,
) -> T {
    let (Some(diagnostics), Some(begun)) = (gateway.metrics.diagnostics(), begun) else {
        return work.await;
    };
    let notes = Notes {
        begun,
        dps: None,
        registration: None,
        hub: None,
        device: None,
        policy: None,
        counted: None,
        failed: None,
    };
    let work = async {
        let done = work.await;
        NOTES.with(|notes| locked(notes).record(gateway, diagnostics));
        done
    };
    NOTES.scope(Arc::new(Mutex::new(notes)), work).await
}

/// Work that notes what it does as the present call's, though it becomes a task of its own.
pub(crate) fn carried<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let notes = NOTES.try_with(Arc::clone).ok();
    async move {
        match notes {
            Some(notes) => NOTES.scope(notes, work).await,
            None => work.await,
        }
    }
}

fn locked(notes: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes something of the present call, if anybody wants to know.
fn note(change: impl FnOnce(&mut Notes)) {
    // Nobody does where there is no scope.
    let _ = NOTES.try_with(|notes| change(&mut locked(notes)));
}

/// The id that the call's caller is told.
pub(crate) fn tracked(tracking_id: &str) {
    note(|notes| notes.begun.tracking_id = Some(tracking_id.to_owned()));
}

/// The call is at a provisioning service.
pub(crate) fn provisioning_service(dps: &ServiceName) {
    note(|notes| notes.dps = Some(dps.clone()));
}

/// The call is about a registration.
pub(crate) fn registration(id: &RegistrationId) {
    note(|notes| notes.registration = Some(id.clone()));
}

/// The call is at a hub.
pub(crate) fn hub(host: &HostName) {
    note(|notes| notes.hub = Some(host.clone()));
}

/// The call is about a device.
pub(crate) fn device(id: &DeviceId) {
    note(|notes| notes.device = Some(id.clone()));
}

/// The call is an operator's.
pub(crate) fn policy(name: &str) {
    note(|notes| notes.policy = Some(name.to_owned()));
}

/// What the call was, and how long it took.
pub(crate) fn counted(operation: Operation, outcome: Outcome, took: Duration) {
    note(|notes| notes.counted = Some((operation, outcome, took)));
}

/// The call was refused; `message` quotes nothing of it.
pub(crate) fn refused(tracking_id: &str, error: &WireError, message: &str) {
    note(|notes| {
        notes.begun.tracking_id.get_or_insert_with(|| tracking_id.to_owned());
        notes.failed = Some((error.status, message.to_owned()));
    });
}

impl Notes {
    fn record(&self, gateway: &Gateway, diagnostics: &Diagnostics) {
        let Some((operation, outcome, took)) = self.counted else { return };
        let (method, path, query) = match &self.begun.http {
            Some((method, path, query)) => (method.as_str(), path.as_str(), query.as_str()),
            None => ("", "", ""),
        };
        let of_service = || service_operation(method, path);
        let (category, name, kind) = match operation {
            Operation::Register => {
                (Category::DeviceOperations, "AttestationAttempt", "Registration")
            }
            Operation::Lookup => (Category::DeviceOperations, "Get", "Registration"),
            Operation::Enrollments => {
                (Category::ServiceOperations, of_service(), "IndividualEnrollment")
            }
            Operation::EnrollmentGroups => {
                (Category::ServiceOperations, of_service(), "EnrollmentGroup")
            }
            Operation::Registrations => (Category::ServiceOperations, of_service(), "Registration"),
            Operation::Bulk if self.hub.is_none() => {
                (Category::ServiceOperations, of_service(), "IndividualEnrollment")
            }
            Operation::Bulk | Operation::Devices => {
                (Category::DeviceIdentityOperations, hub_operation(method), "")
            }
            Operation::Twins => (Category::C2DTwinOperations, hub_operation(method), ""),
            Operation::DeviceQuery => (Category::TwinQueries, "query", ""),
            Operation::SignIn => (Category::Connections, "deviceConnect", ""),
            Operation::TwinGet => (Category::D2CTwinOperations, "read", ""),
            Operation::TwinReport => (Category::D2CTwinOperations, "update", ""),
            Operation::Poll
            | Operation::AdminDps
            | Operation::AdminCertificates
            | Operation::AdminHubs
            | Operation::AdminExplanations
            | Operation::AdminEvents
            | Operation::AdminRegistrations
            | Operation::AdminCredentials
            | Operation::OpenApi
            | Operation::WebSocket
            | Operation::Telemetry
            | Operation::MethodResponse
            | Operation::Unknown => return,
        };
        let Some(resource_id) = self.resource_id(gateway, category) else { return };
        let result = match (&self.failed, outcome) {
            (Some((status, message)), _) => Err(Failed { status: *status, message }),
            (None, Outcome::Answered) => Ok(()),
            // Whoever refuses says so; a CONNECT that no rule looked at has a code of MQTT's alone.
            (None, Outcome::Refused) => Err(Failed::UNAUTHORIZED),
            (None, Outcome::Error) => Err(Failed::INTERNAL),
        };
        let made = || gateway.service.tracking_id();
        let tracking_id = self.begun.tracking_id.clone().unwrap_or_else(made);
        let addressed = addressed_id(path);
        let id = match (&self.registration, &self.device) {
            (Some(id), _) => Some(id.as_str()),
            (None, Some(id)) => Some(id.as_str()),
            (None, None) => addressed.as_deref(),
        };
        diagnostics.write(&Record {
            time: gateway.service.now(),
            resource_id,
            category,
            operation: name,
            version: query.split('&').find_map(|pair| pair.strip_prefix("api-version=")),
            took: Some(took),
            result,
            caller: Some(self.begun.caller),
            tracking_id: &tracking_id,
            policy: self.policy.as_deref(),
            kind,
            id,
            protocol: self.begun.protocol,
        });
    }

    fn resource_id(&self, gateway: &Gateway, category: Category) -> Option<String> {
        match category {
            Category::DeviceOperations | Category::ServiceOperations => {
                self.dps.as_ref().map(resource::dps_id)
            }
            Category::Connections
            | Category::DeviceIdentityOperations
            | Category::C2DTwinOperations
            | Category::D2CTwinOperations
            | Category::TwinQueries => {
                let directory = gateway.service.directory();
                let hub = directory.hub(self.hub.as_ref()?)?;
                Some(resource::hub_id(&hub.name))
            }
        }
    }
}

/// A connection of a device to a hub; its end is logged when this is dropped.
pub(crate) struct Connected {
    gateway: Arc<Gateway>,
    host: HostName,
    device_id: DeviceId,
    caller: IpAddr,
    protocol: &'static str,
}

impl Connected {
    /// None where nobody keeps resource logs.
    pub(crate) fn new(
        gateway: &Arc<Gateway>,
        host: HostName,
        device_id: DeviceId,
        caller: IpAddr,
        protocol: &'static str,
    ) -> Option<Self> {
        gateway.metrics.diagnostics()?;
        Some(Self { gateway: Arc::clone(gateway), host, device_id, caller, protocol })
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        let (service, metrics) = (&self.gateway.service, &self.gateway.metrics);
        let directory = service.directory();
        let (Some(diagnostics), Some(hub)) = (metrics.diagnostics(), directory.hub(&self.host))
        else {
            return;
        };
        diagnostics.write(&Record {
            time: service.now(),
            resource_id: resource::hub_id(&hub.name),
            category: Category::Connections,
            operation: "deviceDisconnect",
            version: None,
            took: None,
            result: Ok(()),
            caller: Some(self.caller),
            tracking_id: &service.tracking_id(),
            policy: None,
            kind: "",
            id: Some(self.device_id.as_str()),
            protocol: self.protocol,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use model::Timestamp;

    use super::*;

    /// Writes nothing as long as the gate is held.
    struct Still(Arc<Mutex<Vec<u8>>>);

    impl Write for Still {
        fn write(&mut self, lines: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(lines);
            Ok(lines.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn record(category: Category) -> Record<'static> {
        Record {
            time: Timestamp::from_unix_seconds(0),
            resource_id: String::new(),
            category,
            operation: "deviceConnect",
            version: None,
            took: None,
            result: Ok(()),
            caller: None,
            tracking_id: "",
            policy: None,
            kind: "",
            id: Some("dev-1"),
            protocol: "mqtt",
        }
    }

    #[test]
    fn a_sink_that_stands_still_holds_up_nobody_and_what_is_dropped_is_counted() {
        let gate = Arc::new(Mutex::new(Vec::new()));
        let held = gate.lock().unwrap();
        let sink = Still(Arc::clone(&gate));
        let diagnostics = Diagnostics::start(sink, vec![Category::Connections]).unwrap();
        for _ in 0..LINES_MAX + 2 * BATCH_LINES {
            diagnostics.write(&record(Category::Connections));
        }
        assert!(diagnostics.dropped.get() > 0);
        let dropped = diagnostics.dropped.get();
        diagnostics.write(&record(Category::TwinQueries));
        assert_eq!(diagnostics.dropped.get(), dropped);
        drop(held);
        let kept = (LINES_MAX + 2 * BATCH_LINES) as u64 - dropped;
        let lines = || gate.lock().unwrap().iter().filter(|byte| **byte == b'\n').count() as u64;
        while lines() < kept {
            std::thread::yield_now();
        }
        assert_eq!(lines(), kept);
    }
}
