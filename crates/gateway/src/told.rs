//! What a device is told of its record.

use dialect::rest::device::Shown;
use model::HostName;
use provisioning::registration::Registration;
use service::Polled;

use crate::Gateway;

impl Gateway {
    /// The record for a device that came by the server name `came_by`, and how it is shown.
    pub(crate) fn told(&self, polled: Polled, came_by: Option<&str>) -> (Box<Registration>, Shown) {
        let (mut record, shown) = match polled {
            Polled::Record(record) => (record, Shown::AsStored),
            Polled::Disabled(record) => (record, Shown::AsDisabled),
        };
        if let Some(place) = &mut record.assignment {
            let came_by = came_by.and_then(|name| HostName::parse(name).ok());
            let directory = self.service.directory();
            place.hub = directory.reachable(place.hub.clone(), came_by.as_ref());
        }
        (record, shown)
    }
}
