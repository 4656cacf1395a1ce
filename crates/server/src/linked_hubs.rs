//! What linked hubs that live elsewhere are called with: the machine's trust, and what a file adds.

use std::sync::Arc;

use rustls::ClientConfig;

use crate::config::linked_hubs::LinkedHubs;
use crate::webhooks;

/// Reads what the configuration names.
///
/// # Errors
/// Every fault, with its key in the configuration.
pub(crate) fn trust(hubs: &LinkedHubs) -> Result<Arc<ClientConfig>, Vec<String>> {
    let mut roots = webhooks::of_the_machine();
    if let Some(file) = &hubs.ca_file {
        let added = webhooks::roots(file);
        let added = added.map_err(|fault| vec![format!("linked_hubs.ca_file: {fault}")])?;
        roots.extend(added.roots);
    }
    let client = webhooks::client(roots);
    client.map(Arc::new).map_err(|error| vec![format!("linked_hubs: {error}")])
}

/// Every fault of the files that the configuration names.
pub(crate) fn faults(hubs: &LinkedHubs) -> Vec<String> {
    match hubs.ca_file.is_some() {
        true => trust(hubs).err().unwrap_or_default(),
        false => Vec::new(),
    }
}
