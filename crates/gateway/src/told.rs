//! What a device is told of its record, and what its address is thought of from then on.

use dialect::rest::device::Shown;
use model::HostName;
use provisioning::registration::Registration;
use provisioning::registration::RegistrationStatus;
use service::{Accepted, PollError, Polled, RegisterError};

use crate::Gateway;
use crate::peer::Peer;

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

    /// Notes a registration that was refused (S-35); whether it was let in is for the poll to say.
    pub(crate) fn registered(&self, answer: &Result<Accepted, RegisterError>, peer: &Peer) {
        match answer {
            Ok(Accepted { is_refused: false, .. }) => peer.standing.known(),
            Err(
                RegisterError::UnknownService
                | RegisterError::Challenge { .. }
                | RegisterError::Fault(_),
            ) => {}
            Ok(Accepted { is_refused: true, .. }) => {
                peer.standing.known();
                peer.standing.refused();
            }
            Err(RegisterError::Rejected(..) | RegisterError::Network(_)) => {
                peer.standing.refused();
            }
        }
    }

    /// Notes whether a device that polls is let in.
    pub(crate) fn polled(&self, answer: &Result<Polled, PollError>, peer: &Peer) {
        match answer {
            Ok(Polled::Record(record)) => match record.status {
                RegistrationStatus::Assigned => peer.standing.let_in(),
                RegistrationStatus::Disabled => peer.standing.refused(),
                RegistrationStatus::Assigning
                | RegistrationStatus::Failed
                | RegistrationStatus::Unassigned => peer.standing.known(),
            },
            Ok(Polled::Disabled(_)) | Err(PollError::Stranger(_)) => peer.standing.refused(),
            Err(
                PollError::UnknownService
                | PollError::UnknownOperation
                | PollError::UnknownRegistration
                | PollError::Fault(_),
            ) => {}
        }
    }
}
