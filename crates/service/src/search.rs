//! Looking through a collection page by page, for the rows that a caller picks.
//!
//! What is meant by a query is the caller's to say; how much of the store is read for one answer
//! is said here.

use std::future::Future;

use model::{DeviceId, EnrollmentGroupId, HostName, RegistrationId, ServiceName};
use provisioning::enrollment::{Entry, EntryId};
use provisioning::registration::Registration;
use provisioning::reprovision::{Order, standing};
use provisioning::view::Versioned;
use store::{DeviceCount, DeviceView, IndividualView, StoreError, Views};

use crate::{ApiError, Service};

/// Rows that are read at a time, between which other work of the process goes on.
const BATCH: usize = 256;

/// Rows that are looked at for one page whose rows are picked. Source: ours, about half a second;
/// a page that is short, or empty, has a token to go on with.
const LOOKED_AT_MAX: usize = 20_000;

/// What is looked for.
#[derive(Clone, Debug)]
pub struct Search<'a> {
    /// The key of the last row of the page before.
    pub after: Option<&'a str>,
    /// How many rows.
    pub extent: Extent,
    /// The only ids that can be meant; any where there is none.
    pub ids: Option<Vec<&'a str>>,
}

/// How many rows are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// At most so many, of which every one is picked.
    Rows(usize),
    /// At most so many, of which some are picked.
    Picked(usize),
    /// All there are.
    Whole,
}

/// What was picked.
#[derive(Clone, Debug)]
pub struct Found<T> {
    /// In the order of their keys.
    pub rows: Vec<T>,
    /// The key after which more may follow.
    pub next: Option<String>,
}

impl Service {
    /// Looks through the individual enrollments of an instance, each with the record of its id.
    ///
    /// # Errors
    /// [`ApiError::Fault`].
    pub async fn search_individuals<T>(
        &self,
        dps: &ServiceName,
        search: &Search<'_>,
        mut pick: impl FnMut(IndividualView) -> Option<T>,
    ) -> Result<Found<T>, ApiError> {
        let key = |view: &IndividualView| view.individual.value.registration_id.key().to_owned();
        let Some(ids) = search.ids.as_deref() else {
            let fetch = |after: Option<String>, limit| async move {
                self.store.individual_views(dps, after.as_deref(), limit).await
            };
            return look_through(search, fetch, key, &mut pick).await;
        };
        let ids: Vec<_> = ids.iter().filter_map(|id| RegistrationId::parse(id).ok()).collect();
        let ids = keyed(ids.into_iter().map(|id| (id.key().to_owned(), id)));
        let fetch = async |after: Option<String>, limit| {
            let (ids, next) = behind(&ids, after.as_deref(), limit);
            let mut views = Vec::new();
            for id in ids {
                if let Some(individual) = self.store.individual(dps, id).await? {
                    let registration = self.store.registration(dps, id).await?;
                    views.push(IndividualView { individual, registration });
                }
            }
            Ok(Views { views, next })
        };
        look_through(search, fetch, key, &mut pick).await
    }

    /// Looks through the records of a group, orphans of a deleted one included, each with
    /// the order that its device has yet to follow.
    ///
    /// # Errors
    /// [`ApiError::Fault`].
    pub async fn search_registrations<T>(
        &self,
        dps: &ServiceName,
        group: &EnrollmentGroupId,
        search: &Search<'_>,
        mut pick: impl FnMut(Versioned<Registration>, Option<Order>) -> Option<T>,
    ) -> Result<Found<T>, ApiError> {
        let entry = self.store.group(dps, group).await?;
        let mut pick = |row: Versioned<Registration>| {
            let order = standing(&row.value, entry.as_ref().map(|row| Entry::Group(&row.value)));
            pick(row, order)
        };
        let key = |row: &Versioned<Registration>| row.value.registration_id.key().to_owned();
        let Some(ids) = search.ids.as_deref() else {
            let fetch = |after: Option<String>, limit| async move {
                let page = self.store.registrations_of_group(dps, group, after.as_deref(), limit);
                page.await.map(|page| Views { views: page.rows, next: page.next })
            };
            return look_through(search, fetch, key, &mut pick).await;
        };
        let ids: Vec<_> = ids.iter().filter_map(|id| RegistrationId::parse(id).ok()).collect();
        let ids = keyed(ids.into_iter().map(|id| (id.key().to_owned(), id)));
        let owner = EntryId::Group(group.clone());
        let fetch = async |after: Option<String>, limit| {
            let (ids, next) = behind(&ids, after.as_deref(), limit);
            let mut views = Vec::new();
            for id in ids {
                let row = self.store.registration(dps, id).await?;
                views.extend(row.filter(|row| row.value.owner.id == owner));
            }
            Ok(Views { views, next })
        };
        look_through(search, fetch, key, &mut pick).await
    }

    /// Looks through the identities of a hub, each with its twin.
    ///
    /// # Errors
    /// [`ApiError::Fault`].
    pub async fn search_devices<T>(
        &self,
        hub: &HostName,
        search: &Search<'_>,
        mut pick: impl FnMut(DeviceView) -> Option<T>,
    ) -> Result<Found<T>, ApiError> {
        let key = |view: &DeviceView| view.device.value.device_id.as_str().to_owned();
        let Some(ids) = search.ids.as_deref() else {
            let fetch = |after: Option<String>, limit| async move {
                self.store.device_views(hub, after.as_deref(), limit).await
            };
            return look_through(search, fetch, key, &mut pick).await;
        };
        let ids: Vec<_> = ids.iter().filter_map(|id| DeviceId::parse(id).ok()).collect();
        let ids = keyed(ids.into_iter().map(|id| (id.as_str().to_owned(), id)));
        let fetch = async |after: Option<String>, limit| {
            let (ids, next) = behind(&ids, after.as_deref(), limit);
            let mut views = Vec::new();
            for id in ids {
                views.extend(self.store.device(hub, id).await?);
            }
            Ok(Views { views, next })
        };
        look_through(search, fetch, key, &mut pick).await
    }

    /// How many identities a hub has.
    ///
    /// # Errors
    /// [`ApiError::Fault`].
    pub async fn device_count(&self, hub: &HostName) -> Result<DeviceCount, ApiError> {
        Ok(self.store.device_count(hub).await?)
    }
}

/// Ids by their keys, in order, each once.
fn keyed<I>(ids: impl Iterator<Item = (String, I)>) -> Vec<(String, I)> {
    let mut ids: Vec<_> = ids.collect();
    ids.sort_by(|(a, _), (b, _)| a.cmp(b));
    ids.dedup_by(|(a, _), (b, _)| a == b);
    ids
}

/// Ids after a key, at most `limit`, and the key to go on after where more follow.
fn behind<'i, I>(
    ids: &'i [(String, I)],
    after: Option<&str>,
    limit: usize,
) -> (Vec<&'i I>, Option<String>) {
    let mut rest = ids.iter().filter(|(key, _)| after.is_none_or(|after| key.as_str() > after));
    let here: Vec<_> = rest.by_ref().take(limit).collect();
    let last = here.last().map(|(key, _)| key.clone());
    let next = last.filter(|_| rest.next().is_some());
    (here.into_iter().map(|(_, id)| id).collect(), next)
}

async fn look_through<V, T, F>(
    search: &Search<'_>,
    fetch: impl Fn(Option<String>, usize) -> F,
    key: impl Fn(&V) -> String,
    pick: &mut impl FnMut(V) -> Option<T>,
) -> Result<Found<T>, ApiError>
where
    F: Future<Output = Result<Views<V>, StoreError>>,
{
    let (wanted, looked_at_max) = match search.extent {
        Extent::Rows(wanted) => (wanted, usize::MAX),
        Extent::Picked(wanted) => (wanted, LOOKED_AT_MAX),
        Extent::Whole => (usize::MAX, usize::MAX),
    };
    let mut found = Found { rows: Vec::new(), next: None };
    let mut after = search.after.map(str::to_owned);
    let mut looked_at = 0_usize;
    while found.rows.len() < wanted {
        let batch = match search.extent {
            Extent::Rows(_) => BATCH.min(wanted.saturating_sub(found.rows.len())),
            Extent::Picked(_) | Extent::Whole => BATCH,
        };
        let Views { views, next } = fetch(after, batch).await?;
        looked_at = looked_at.saturating_add(batch);
        let mut views = views.into_iter().peekable();
        while let Some(view) = views.next() {
            let here = key(&view);
            found.rows.extend(pick(view));
            if found.rows.len() == wanted && views.peek().is_some() {
                found.next = Some(here);
                return Ok(found);
            }
        }
        found.next = next;
        if found.next.is_none() || looked_at >= looked_at_max {
            return Ok(found);
        }
        after = found.next.clone();
        // A store in memory never makes us wait: give way all the same.
        tokio::task::yield_now().await;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Looks through the numbers up to `rows`, ordered by their text.
    async fn numbers(
        rows: usize,
        search: &Search<'_>,
        pick: impl Fn(usize) -> bool,
    ) -> (Vec<usize>, Option<String>, usize) {
        let text = |number: usize| format!("{number:08}");
        let read = AtomicUsize::new(0);
        let fetch = async |after: Option<String>, limit: usize| {
            let first = after.map_or(0, |after| after.parse::<usize>().unwrap() + 1);
            let views: Vec<usize> = (first..rows).take(limit).collect();
            read.fetch_add(views.len(), Ordering::Relaxed);
            let last = views.last().copied().filter(|last| last + 1 < rows);
            Ok(Views { views, next: last.map(text) })
        };
        let mut pick = |number: usize| pick(number).then_some(number);
        let found = look_through(search, fetch, |number| text(*number), &mut pick).await.unwrap();
        (found.rows, found.next, read.into_inner())
    }

    const fn search(after: Option<&str>, extent: Extent) -> Search<'_> {
        Search { after, extent, ids: None }
    }

    #[tokio::test]
    async fn q_02_a_page_whose_rows_are_all_told_reads_no_more_than_it_tells() {
        let all = |_| true;
        let first = numbers(1_000, &search(None, Extent::Rows(300)), all).await;
        assert_eq!((first.0.len(), first.1.as_deref(), first.2), (300, Some("00000299"), 300));
        let last = numbers(1_000, &search(Some("00000699"), Extent::Rows(300)), all).await;
        assert_eq!((last.0.len(), last.1, last.2), (300, None, 300));
        assert_eq!(numbers(10, &search(None, Extent::Rows(0)), all).await.0.len(), 0);
    }

    #[tokio::test]
    async fn q_02_a_page_of_rare_rows_ends_early_and_leads_on() {
        let rows = LOOKED_AT_MAX * 2;
        let last_one = |number| number == rows - 1;
        let mut after: Option<String> = None;
        let mut pages = 0;
        loop {
            let search = search(after.as_deref(), Extent::Picked(10));
            let (found, next, read) = numbers(rows, &search, last_one).await;
            pages += 1;
            assert!(read < LOOKED_AT_MAX + BATCH);
            let Some(next) = next else {
                assert_eq!((found, pages), (vec![rows - 1], 2));
                return;
            };
            assert!(found.is_empty());
            after = Some(next);
        }
    }

    #[tokio::test]
    async fn figures_are_over_all_rows() {
        let rows = LOOKED_AT_MAX + 1;
        let (found, next, read) = numbers(rows, &search(None, Extent::Whole), |_| true).await;
        assert_eq!((found.len(), next, read), (rows, None, rows));
    }
}
