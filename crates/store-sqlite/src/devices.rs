//! Device identities and their twins.

use async_trait::async_trait;
use hub::identity::Device;
use hub::twin::Twin;
use model::{DeviceId, HostName, Revision};
use provisioning::view::Versioned;
use rusqlite::Connection;
use store::{DeviceView, Devices, Page, StoreError};

use crate::apply::Applying;
use crate::error::Fault;
use crate::{Sqlite, sql};

#[async_trait]
impl Devices for Sqlite {
    async fn device(
        &self,
        hub: &HostName,
        id: &DeviceId,
    ) -> Result<Option<DeviceView>, StoreError> {
        let (hub, id) = (hub.clone(), id.clone());
        self.read("a device identity", move |snapshot| view(snapshot.connection, &hub, &id)).await
    }

    async fn devices(
        &self,
        hub: &HostName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Device>, StoreError> {
        let (hub, after) = (hub.clone(), after.unwrap_or_default().to_owned());
        self.read("a page of device identities", move |snapshot| {
            sql::page(
                snapshot.connection,
                "SELECT revision, doc, id FROM device
                 WHERE hub = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
                (hub.as_str(), after, sql::one_more_than(limit)),
                limit,
            )
        })
        .await
    }
}

fn view(
    connection: &Connection,
    hub: &HostName,
    id: &DeviceId,
) -> Result<Option<DeviceView>, Fault> {
    let key = (hub.as_str(), id.as_str());
    let device: Option<Versioned<Device>> =
        sql::one(connection, "SELECT revision, doc FROM device WHERE hub = ?1 AND id = ?2", key)?;
    let twin: Option<Versioned<Twin>> =
        sql::one(connection, "SELECT revision, doc FROM twin WHERE hub = ?1 AND id = ?2", key)?;
    Ok(device.zip(twin).map(|(device, twin)| DeviceView { device, twin }))
}

pub(crate) fn device_revision(
    connection: &Connection,
    hub: &HostName,
    id: &DeviceId,
) -> Result<Option<Revision>, Fault> {
    sql::revision(
        connection,
        "SELECT revision FROM device WHERE hub = ?1 AND id = ?2",
        (hub.as_str(), id.as_str()),
    )
}

pub(crate) fn twin_revision(
    connection: &Connection,
    hub: &HostName,
    id: &DeviceId,
) -> Result<Option<Revision>, Fault> {
    sql::revision(
        connection,
        "SELECT revision FROM twin WHERE hub = ?1 AND id = ?2",
        (hub.as_str(), id.as_str()),
    )
}

pub(crate) fn write_device(
    applying: &mut Applying<'_>,
    hub: &HostName,
    value: &Device,
) -> Result<(), Fault> {
    let revision = applying.next_revision();
    sql::run(
        applying.connection,
        "INSERT INTO device (hub, id, revision, doc) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (hub, id) DO UPDATE SET revision = excluded.revision, doc = excluded.doc",
        (hub.as_str(), value.device_id.as_str(), revision, sql::document(value)?),
    )?;
    Ok(())
}

pub(crate) fn delete_device(
    applying: &Applying<'_>,
    hub: &HostName,
    id: &DeviceId,
) -> Result<(), Fault> {
    sql::run(
        applying.connection,
        "DELETE FROM device WHERE hub = ?1 AND id = ?2",
        (hub.as_str(), id.as_str()),
    )?;
    Ok(())
}

pub(crate) fn write_twin(
    applying: &mut Applying<'_>,
    hub: &HostName,
    id: &DeviceId,
    value: &Twin,
) -> Result<(), Fault> {
    let revision = applying.next_revision();
    sql::run(
        applying.connection,
        "INSERT INTO twin (hub, id, revision, doc) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (hub, id) DO UPDATE SET revision = excluded.revision, doc = excluded.doc",
        (hub.as_str(), id.as_str(), revision, sql::document(value)?),
    )?;
    Ok(())
}
