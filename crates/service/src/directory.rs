//! Which host is which service.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use hub::instance::Hub;
use model::{HostName, IdScope, ServiceName};
use provisioning::instance::Dps;
use tokio::sync::Mutex;

use crate::{Fault, Service};

/// The host of Muster's own administration (settled D-30).
pub(crate) const ADMIN_HOST: &str = "muster.localhost";

/// The host by which every provisioning service can be reached; there the id scope alone decides
/// (settled D-22).
pub(crate) const GLOBAL_ALIAS: &str = "localhost";

/// What a host name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A provisioning service.
    Dps(ServiceName),
    /// A hub, by its own host name.
    Hub(HostName),
    /// The administration.
    Admin,
    /// Any provisioning service; the id scope decides. With one hub alone, that hub as well.
    Alias(Option<HostName>),
}

/// All services, by the names that tell them apart.
#[derive(Debug, Default)]
pub struct Directory {
    hosts: HashMap<HostName, Endpoint>,
    scopes: HashMap<String, ServiceName>,
    /// All provisioning services, by name.
    pub dps: Vec<Dps>,
    /// All hubs, by name.
    pub hubs: Vec<Hub>,
}

impl Directory {
    fn new(dps: Vec<Dps>, hubs: Vec<Hub>) -> Self {
        let mut hosts = HashMap::new();
        let mut scopes = HashMap::new();
        for service in &dps {
            hosts.insert(service.host.clone(), Endpoint::Dps(service.name.clone()));
            scopes.insert(service.id_scope.key().to_owned(), service.name.clone());
        }
        for hub in &hubs {
            hosts.insert(hub.host.clone(), Endpoint::Hub(hub.host.clone()));
        }
        let only_hub = match hubs.as_slice() {
            [only] => Some(only.host.clone()),
            _ => None,
        };
        let fixed = [(ADMIN_HOST, Endpoint::Admin), (GLOBAL_ALIAS, Endpoint::Alias(only_hub))];
        for (host, endpoint) in fixed {
            if let Ok(host) = HostName::parse(host) {
                hosts.insert(host, endpoint);
            }
        }
        Self { hosts, scopes, dps, hubs }
    }

    /// What the host stands for.
    pub fn endpoint(&self, host: &HostName) -> Option<&Endpoint> {
        self.hosts.get(host)
    }

    /// The name by which a device that came by `came_by` reaches the hub: one that knows the
    /// alias alone is told the alias, as it may be unable to look up another name.
    pub fn reachable(&self, hub: HostName, came_by: Option<&HostName>) -> HostName {
        match came_by.and_then(|host| Some((host, self.endpoint(host)?))) {
            Some((alias, Endpoint::Alias(Some(only)))) if *only == hub => alias.clone(),
            Some(_) | None => hub,
        }
    }

    /// The service of an id scope.
    pub fn by_scope(&self, scope: &IdScope) -> Option<&ServiceName> {
        self.scopes.get(scope.key())
    }

    /// The provisioning service of this name.
    pub fn dps(&self, name: &ServiceName) -> Option<&Dps> {
        self.dps.iter().find(|dps| dps.name == *name)
    }

    /// The hub of this host name.
    pub fn hub(&self, host: &HostName) -> Option<&Hub> {
        self.hubs.iter().find(|hub| hub.host == *host)
    }

    /// Every host that a server certificate is wanted for.
    pub fn hosts(&self) -> impl Iterator<Item = &HostName> {
        self.hosts.keys()
    }
}

/// The directory as it is now.
#[derive(Default)]
pub(crate) struct Shared {
    now: RwLock<Arc<Directory>>,
    /// Held while the store is read for it: what was read earlier never replaces what is later.
    reading: Mutex<()>,
}

impl Service {
    /// The directory as it is now.
    pub fn directory(&self) -> Arc<Directory> {
        let shared = match self.directory.now.read() {
            Ok(shared) => shared,
            Err(poisoned) => poisoned.into_inner(),
        };
        Arc::clone(&shared)
    }

    /// Reads the directory from the store.
    pub(crate) async fn reload_directory(&self) -> Result<(), Fault> {
        let _reading = self.directory.reading.lock().await;
        let dps = self.store.all_dps().await?.into_iter().map(|row| row.value).collect();
        let hubs = self.store.all_hubs().await?.into_iter().map(|row| row.value).collect();
        let fresh = Arc::new(Directory::new(dps, hubs));
        match self.directory.now.write() {
            Ok(mut shared) => *shared = fresh,
            Err(poisoned) => *poisoned.into_inner() = fresh,
        }
        Ok(())
    }
}
