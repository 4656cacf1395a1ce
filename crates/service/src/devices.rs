//! The registry: device identities, as operators write and read them.

use hub::draft::{DeviceDraft, device};
use hub::identity::Device;
use hub::twin::Twin;
use model::{DeviceId, Etag, HostName, IfMatch, limits};
use store::{ChangeScope, Commit, Condition, DeviceView, Page, Write};

use crate::instances::demanded;
use crate::{ApiError, Call, Fault, Service, environment};

/// The etag of an identity: its version in decimal digits.
fn etag(device: &Device) -> Etag {
    Etag::new(&device.version.to_string())
}

impl Service {
    /// One identity with its twin.
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub async fn device(&self, hub: &HostName, id: &DeviceId) -> Result<DeviceView, ApiError> {
        self.store.device(hub, id).await?.ok_or(ApiError::NotFound)
    }

    /// Identities in the order of their ids.
    ///
    /// # Errors
    /// [`ApiError::Fault`].
    pub async fn devices(
        &self,
        hub: &HostName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Device>, ApiError> {
        Ok(self.store.devices(hub, after, limit).await?)
    }

    /// Creates or changes an identity; sessions that it no longer permits end first
    /// (`iot-hub` §2.4).
    ///
    /// `if_match` names versions in decimal digits.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn put_device(
        &self,
        call: &Call,
        hub: &HostName,
        draft: &DeviceDraft,
        if_match: &IfMatch,
    ) -> Result<Device, ApiError> {
        let id = &draft.device_id;
        for _ in 0..=limits::COMMIT_RETRIES_MAX {
            let present = self.store.device(hub, id).await?;
            let old = present.as_ref().map(|view| &view.device.value);
            match (if_match, old) {
                (IfMatch::Absent, Some(_)) => return Err(ApiError::AlreadyExists),
                (_, old) => demanded(if_match, old.map(etag).as_ref())?,
            }
            let now = self.now();
            let mut keys = || environment::key::<32>(self.entropy.as_ref());
            let fresh = device(draft, old, &mut keys, now)?;
            let mut writes = vec![Write::Device(hub.clone(), Box::new(fresh.clone()))];
            let mut changes = Vec::new();
            match old {
                Some(_) => {
                    changes.push(ChangeScope::Device { hub: hub.clone(), device_id: id.clone() });
                }
                None => {
                    writes.push(Write::Twin(hub.clone(), id.clone(), Box::new(Twin::new(now))));
                }
            }
            let commit = Commit {
                conditions: vec![device_at(hub, id, present.as_ref())],
                writes,
                changes,
                audit: vec![self.audit(call, "device.put", &format!("{hub}/{id}"))],
            };
            if self.apply(commit).await? {
                return Ok(fresh);
            }
        }
        Err(ApiError::Fault(Fault::Contended))
    }

    /// Deletes an identity with its twin; its sessions end first.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn delete_device(
        &self,
        call: &Call,
        hub: &HostName,
        id: &DeviceId,
        if_match: &IfMatch,
    ) -> Result<(), ApiError> {
        for _ in 0..=limits::COMMIT_RETRIES_MAX {
            let present = self.device(hub, id).await?;
            demanded(if_match, Some(&etag(&present.device.value)))?;
            let commit = Commit {
                conditions: vec![device_at(hub, id, Some(&present))],
                writes: vec![Write::DeleteDevice(hub.clone(), id.clone())],
                changes: vec![ChangeScope::Device { hub: hub.clone(), device_id: id.clone() }],
                audit: vec![self.audit(call, "device.delete", &format!("{hub}/{id}"))],
            };
            if self.apply(commit).await? {
                return Ok(());
            }
        }
        Err(ApiError::Fault(Fault::Contended))
    }
}

fn device_at(hub: &HostName, id: &DeviceId, found: Option<&DeviceView>) -> Condition {
    Condition::Device {
        hub: hub.clone(),
        id: id.clone(),
        at: found.map(|found| found.device.revision),
    }
}
