//! The registry: device identities, as operators write and read them.

use hub::draft::{DeviceDraft, device};
use hub::identity::Device;
use hub::twin::{How, Twin, TwinError, TwinUpdate};
use model::{DeviceId, Etag, HostName, IfMatch, Timestamp, limits};
use store::{ChangeScope, Commit, Condition, DeviceView, Page, Write};

use crate::instances::demanded;
use crate::{ApiError, Call, Fault, Service, environment};

/// What must be there for a write; versions are in decimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demand {
    /// As `If-Match` of a PUT says.
    Put(IfMatch),
    /// Nothing, or what `If-Match` says.
    Upsert(IfMatch),
}

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
        let demand = Demand::Put(if_match.clone());
        self.write_device(call, hub, draft, &demand, &TwinUpdate::default()).await
    }

    /// The same with what its twin shall hold, as one change; `twin` is merged into an old one.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn write_device(
        &self,
        call: &Call,
        hub: &HostName,
        draft: &DeviceDraft,
        demand: &Demand,
        twin: &TwinUpdate,
    ) -> Result<Device, ApiError> {
        let id = &draft.device_id;
        for _ in 0..=limits::COMMIT_RETRIES_MAX {
            let present = self.store.device(hub, id).await?;
            let old = present.as_ref().map(|view| &view.device.value);
            match (demand, old) {
                (Demand::Put(IfMatch::Absent), Some(_)) => return Err(ApiError::AlreadyExists),
                (Demand::Upsert(_), None) => {}
                (Demand::Put(if_match) | Demand::Upsert(if_match), old) => {
                    demanded(if_match, old.map(etag).as_ref())?;
                }
            }
            let now = self.now();
            let mut keys = || environment::key::<32>(self.entropy.as_ref());
            let fresh = device(draft, old, &mut keys, now)?;
            let mut conditions = vec![device_at(hub, id, present.as_ref())];
            let mut writes = vec![Write::Device(hub.clone(), Box::new(fresh.clone()))];
            let mut changes = Vec::new();
            let write_twin = |twin| Write::Twin(hub.clone(), id.clone(), Box::new(twin));
            match &present {
                Some(view) => {
                    changes.push(ChangeScope::Device { hub: hub.clone(), device_id: id.clone() });
                    if *twin != TwinUpdate::default() {
                        conditions.push(twin_at(hub, id, view));
                        writes.push(write_twin(view.twin.value.updated(twin, How::Merge, now)?));
                    }
                }
                None => writes.push(write_twin(first_twin(twin, now)?)),
            }
            let audit = vec![self.audit(call, "device.put", &format!("{hub}/{id}"))];
            if self.apply(Commit { conditions, writes, changes, audit }).await? {
                return Ok(fresh);
            }
        }
        Err(ApiError::Fault(Fault::Contended))
    }

    /// Writes tags and desired properties. `if_match` names the etag's counter in decimal digits.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn put_twin(
        &self,
        call: &Call,
        hub: &HostName,
        id: &DeviceId,
        update: &TwinUpdate,
        how: How,
        if_match: &IfMatch,
    ) -> Result<DeviceView, ApiError> {
        for _ in 0..=limits::COMMIT_RETRIES_MAX {
            let mut view = self.device(hub, id).await?;
            demanded(if_match, Some(&Etag::new(&view.twin.value.etag_counter.to_string())))?;
            let fresh = view.twin.value.updated(update, how, self.now())?;
            let action = match how {
                How::Merge => "twin.patch",
                How::Replace => "twin.put",
            };
            let commit = Commit {
                conditions: vec![twin_at(hub, id, &view)],
                writes: vec![Write::Twin(hub.clone(), id.clone(), Box::new(fresh.clone()))],
                changes: Vec::new(),
                audit: vec![self.audit(call, action, &format!("{hub}/{id}"))],
            };
            if self.apply(commit).await? {
                view.twin.value = fresh;
                return Ok(view);
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

/// The first twin of an identity that an operator makes.
fn first_twin(asked: &TwinUpdate, now: Timestamp) -> Result<Twin, TwinError> {
    let checked = Twin::new(now).updated(asked, How::Replace, now)?;
    let twin = Twin::initial(checked.tags, &checked.desired.values, now);
    match &asked.reported {
        Some(reported) => twin.taking_along(reported, now),
        None => Ok(twin),
    }
}

fn twin_at(hub: &HostName, id: &DeviceId, found: &DeviceView) -> Condition {
    Condition::Twin { hub: hub.clone(), id: id.clone(), at: Some(found.twin.revision) }
}

fn device_at(hub: &HostName, id: &DeviceId, found: Option<&DeviceView>) -> Condition {
    Condition::Device {
        hub: hub.clone(),
        id: id.clone(),
        at: found.map(|found| found.device.revision),
    }
}
