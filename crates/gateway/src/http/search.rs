//! Queries: of enrollments, records and devices.

use dialect::rest::error::{ApiFault, Missing, WireError};
use dialect::rest::hub as registry;
use dialect::rest::query::{self as wire, Address, Collection, Page, Paging, told};
use dialect::rest::service::{Keys, enrollment, group, registration};
use model::{EnrollmentGroupId, HostName, ServiceName};
use query::{Aggregation, Query, QueryError};
use service::{DeviceView, Extent, Found, Search};

use super::hub::{failed_for, presence};
use super::{Asked, Reply};
use crate::{Gateway, faults};

/// A query as it was asked, and which page of its answer.
struct Asking {
    collection: Collection,
    /// Host and path.
    resource: String,
    text: String,
    query: Query,
    paging: Paging,
}

impl Asking {
    fn read(asked: &Asked, collection: Collection) -> Result<Self, ApiFault> {
        let text = wire::text(&asked.body)?;
        let query = wire::asked(&text, collection)?;
        let resource = asked.resource();
        let paging = Paging::read(
            asked.text_header("x-ms-max-item-count")?,
            asked.text_header("x-ms-continuation")?,
            Address { path: &resource, text: &text },
        )?;
        Ok(Self { collection, resource, text, query, paging })
    }

    /// What to look for; `id` is the member that rows are ordered by.
    fn search(&self, id: &str) -> Search<'_> {
        let rows = self.paging.rows(self.query.top);
        Search {
            after: self.paging.after.as_deref(),
            extent: match &self.query.filter {
                Some(_) => Extent::Picked(rows),
                None => Extent::Rows(rows),
            },
            ids: self.query.pinned(id),
        }
    }

    fn reply(&self, found: &Found<Vec<u8>>) -> Reply {
        let next = found.next.as_deref();
        let page = Page { rows: found.rows.len(), next, top: self.query.top };
        let of = Address { path: &self.resource, text: &self.text };
        let headers = self.paging.headers(self.collection.item_type(&self.query), page, of);
        Reply::json(200, wire::array(&found.rows)).with(headers)
    }
}

/// Answers `POST /enrollments/query`.
pub(super) async fn individuals(
    gateway: &Gateway,
    dps: &ServiceName,
    asked: &Asked,
    keys: Keys,
) -> Result<Reply, WireError> {
    let asking = Asking::read(asked, Collection::Enrollments);
    let asking = asking.map_err(|fault| faults::dps(&fault))?;
    let search = asking.search("registrationId");
    let found = gateway.service.search_individuals(dps, &search, |view| {
        let record = view.registration.as_ref().map(|row| &row.value);
        told(&asking.query, &enrollment::json(&view.individual.value, record, keys))
    });
    let found = found.await.map_err(|error| faults::dps_api(&error, Missing::Enrollment))?;
    Ok(asking.reply(&found))
}

/// Answers `POST /enrollmentGroups/query`; the quota keeps groups few.
pub(super) async fn groups(
    gateway: &Gateway,
    dps: &ServiceName,
    asked: &Asked,
    keys: Keys,
) -> Result<Reply, WireError> {
    let asking = Asking::read(asked, Collection::EnrollmentGroups);
    let asking = asking.map_err(|fault| faults::dps(&fault))?;
    let groups = gateway.service.groups(dps).await;
    let groups = groups.map_err(|error| faults::dps_api(&error, Missing::Enrollment))?;
    let after = asking.paging.after.as_deref();
    let mut rows = groups
        .iter()
        .map(|row| &row.value)
        .filter(|group| after.is_none_or(|after| group.id.key() > after))
        .filter_map(|entry| {
            let json = told(&asking.query, &group::json(entry, keys))?;
            Some((entry.id.key(), json))
        });
    let here: Vec<_> = rows.by_ref().take(asking.paging.rows(asking.query.top)).collect();
    let last = here.last().map(|(key, _)| (*key).to_owned());
    let next = last.filter(|_| rows.next().is_some());
    Ok(asking.reply(&Found { rows: here.into_iter().map(|(_, json)| json).collect(), next }))
}

/// Answers `POST /registrations/{group}/query`.
pub(super) async fn registrations(
    gateway: &Gateway,
    dps: &ServiceName,
    id: &EnrollmentGroupId,
    asked: &Asked,
) -> Result<Reply, WireError> {
    let asking = Asking::read(asked, Collection::DeviceRegistrations);
    let asking = asking.map_err(|fault| faults::dps(&fault))?;
    let search = asking.search("registrationId");
    let found = gateway.service.search_registrations(dps, id, &search, |row, order| {
        told(&asking.query, &registration::json(&row.value, order))
    });
    let found = found.await.map_err(|error| faults::dps_api(&error, Missing::Registration))?;
    Ok(asking.reply(&found))
}

/// Answers `POST /devices/query` of a hub: twins, columns of them, or figures over them.
pub(super) async fn devices(
    gateway: &Gateway,
    host: &HostName,
    asked: &Asked,
) -> Result<Reply, WireError> {
    let asking = Asking::read(asked, Collection::Devices);
    let asking = asking.map_err(|fault| faults::hub(&fault))?;
    if asking.query.aggregates() {
        return figures(gateway, host, &asking).await;
    }
    let search = asking.search("deviceId");
    let found = gateway
        .service
        .search_devices(host, &search, |view| told(&asking.query, &twin(gateway, host, &view)));
    Ok(asking.reply(&found.await.map_err(failed_for("*"))?))
}

/// Figures over all devices that a query means, in one page.
async fn figures(gateway: &Gateway, host: &HostName, asking: &Asking) -> Result<Reply, WireError> {
    let own = &gateway.service;
    let mut figures = Aggregation::new(&asking.query);
    if asking.query.counts_all() {
        figures.add_counted(own.device_count(host).await.map_err(failed_for("*"))?.total);
    } else {
        let search = Search { extent: Extent::Whole, ..asking.search("deviceId") };
        let mut refused: Option<QueryError> = None;
        let looking = own.search_devices(host, &search, |view| {
            if refused.is_none() {
                refused = figures.add(&wire::value(&twin(gateway, host, &view))).err();
            }
            None::<()>
        });
        looking.await.map_err(failed_for("*"))?;
        if let Some(error) = refused {
            return Err(faults::hub(&ApiFault::Invalid(error.to_string())));
        }
    }
    let rows = figures.finish().iter().map(dialect::json::utf8_json).collect();
    Ok(asking.reply(&Found { rows, next: None }))
}

fn twin<'v>(gateway: &Gateway, host: &HostName, view: &'v DeviceView) -> registry::TwinJson<'v> {
    let presence = presence(gateway, host, &view.device.value);
    registry::twin(&view.device.value, &view.twin.value, presence)
}
