//! Device identities and their twins.

use async_trait::async_trait;
use hub::identity::Device;
use hub::twin::Twin;
use model::{DeviceId, HostName, Revision};
use provisioning::view::Versioned;
use rusqlite::{Connection, Row};
use store::{DeviceCount, DeviceView, Devices, Page, StoreError, Views};

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
        self.read_few("a device identity", move |snapshot| view(snapshot.connection, &hub, &id))
            .await
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

    async fn device_views(
        &self,
        hub: &HostName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Views<DeviceView>, StoreError> {
        let (hub, after) = (hub.clone(), after.unwrap_or_default().to_owned());
        self.read("a page of device identities with their twins", move |snapshot| {
            sql::views(
                snapshot.connection,
                "SELECT device.revision, device.doc, device.id, twin.revision, twin.doc
                 FROM device JOIN twin USING (hub, id)
                 WHERE device.hub = ?1 AND device.id > ?2 ORDER BY device.id LIMIT ?3",
                (hub.as_str(), after, sql::one_more_than(limit)),
                limit,
                |row| {
                    let (device, twin) = (sql::versioned(row)?, sql::versioned_at(row, 3)?);
                    Ok(DeviceView { device, twin })
                },
            )
        })
        .await
    }

    async fn device_count(&self, hub: &HostName) -> Result<DeviceCount, StoreError> {
        let hub = hub.clone();
        self.read("the number of device identities", move |snapshot| {
            let mut statement = snapshot.connection.prepare_cached(
                "SELECT count(*), count(*) FILTER (WHERE doc ->> '$.status' = 'disabled')
                 FROM device WHERE hub = ?1",
            )?;
            let mut rows = statement.query([hub.as_str()])?;
            let count = |row: &Row<'_>| {
                Ok(DeviceCount { total: sql::unsigned(row, 0)?, disabled: sql::unsigned(row, 1)? })
            };
            rows.next()?.map_or(Ok(DeviceCount::default()), count)
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
