//! Provisioning services and hubs, and the links between them.

use std::collections::{BTreeMap, HashSet};

use attestation::SymmetricKey;
use attestation::access::Policy;
use attestation::network::{IpFilterRule, NetworkAccess, PublicNetworkAccess};
use hub::instance::{Hub, Right as HubRight};
use model::{HostName, IdScope, IfMatch, PolicyName, RegionName, ServiceName, limits};
use provisioning::enrollment::AllocationPolicy;
use provisioning::instance::{Dps, LinkedHub, Region, RemoteHub, Right as DpsRight};
use provisioning::issuance::Issuance;
use provisioning::quota::{Quota, QuotaChange, Use, uses};
use provisioning::view::Versioned;
use store::{AuditLine, ChangeScope, Claim, Commit, Condition, Write};

use crate::error::{Retry, sorted};
use crate::{ApiError, Call, Fault, Service, environment};

/// What an operator may say of a provisioning service.
#[derive(Clone, Debug, Default)]
pub struct DpsRequest {
    /// The host; `{name}.localhost` where none is given.
    pub host: Option<HostName>,
    /// The id scope, at creation only; made of random bytes where none is given.
    pub id_scope: Option<IdScope>,
    /// The default allocation policy.
    pub allocation_policy: Option<AllocationPolicy>,
    /// Bounds that are to be others than they are.
    pub quota: QuotaChange,
    /// From where it may be called.
    pub network: NetworkRequest,
    /// All regions that devices may be in.
    pub regions: Option<Vec<Region>>,
    /// The version that it is about.
    pub if_match: IfMatch,
}

/// What an operator may say of the addresses that a service may be called from.
#[derive(Clone, Debug, Default)]
pub struct NetworkRequest {
    /// The switch; as it is where nothing is said.
    pub public: Option<PublicNetworkAccess>,
    /// All rules; as they are where nothing is said.
    pub rules: Option<Vec<IpFilterRule>>,
    /// Whether it is done even if it takes the service API from who asks for it.
    pub force: bool,
}

/// What an operator may say of a hub.
#[derive(Clone, Debug, Default)]
pub struct HubRequest {
    /// The host; `{name}.localhost` where none is given.
    pub host: Option<HostName>,
    /// From where it may be called.
    pub network: NetworkRequest,
    /// The version that it is about.
    pub if_match: IfMatch,
}

/// What an operator may say of a linked hub; what is not said stays as it is.
#[derive(Clone, Debug, Default)]
pub struct LinkRequest {
    /// 1..=1000; 1 for a new link.
    pub allocation_weight: Option<u32>,
    /// Whether an allocation may choose it; one may choose a new link.
    pub apply_allocation_policy: Option<bool>,
    /// How its registry is reached, for a hub that lives elsewhere.
    pub connection: Option<Connection>,
    /// Milliseconds from each region, all of them; 0..=60000.
    pub latencies: Option<BTreeMap<RegionName, u32>>,
    /// The version that it is about.
    pub if_match: IfMatch,
}

/// What a connection string names.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The hub's host.
    pub host: HostName,
    /// Host, and port where it is not 443.
    pub authority: String,
    /// The policy.
    pub policy: PolicyName,
    /// Its key; none for one that came back masked, which stands for the key that is kept.
    pub key: Option<SymmetricKey>,
}

impl Service {
    /// Makes a provisioning service and hubs, all linked to it, in one commit: what is cut off has
    /// made nothing.
    ///
    /// # Errors
    /// [`ApiError`]; a host that is taken, or that two of them would have, is `Invalid`.
    pub async fn first_start(
        &self,
        call: &Call,
        name: &ServiceName,
        hubs: &[ServiceName],
    ) -> Result<(), ApiError> {
        let host = host_of(None, None, name)?;
        let mut dps = self.fresh_dps(name.clone(), host, self.fresh_scope());
        let mut claims = vec![Claim::Host(dps.host.clone()), Claim::Scope(dps.id_scope.clone())];
        let mut commit = Commit { changes: vec![ChangeScope::Directory], ..Commit::default() };
        commit.conditions.push(Condition::Instance { dps: name.clone(), generation: None });
        let max = dps.quota.linked_hubs;
        if u64::try_from(hubs.len()).unwrap_or(u64::MAX) > max {
            return Err(ApiError::QuotaReached { what: "linked hubs", max });
        }
        for name in hubs {
            let hub = self.fresh_hub(name.clone(), host_of(None, None, name)?);
            let claim = Claim::Host(hub.host.clone());
            if claims.contains(&claim) {
                return Err(ApiError::Invalid(format!("hostName: {} is taken", hub.host)));
            }
            claims.push(claim);
            dps.linked_hubs.push(LinkedHub {
                host: hub.host.clone(),
                allocation_weight: 1,
                apply_allocation_policy: true,
                remote: None,
                latencies: BTreeMap::new(),
            });
            commit.conditions.push(Condition::Hub { name: name.clone(), at: None });
            commit.writes.push(Write::Hub(Box::new(hub)));
            commit.audit.push(self.audit(call, "hub.put", name.as_str()));
        }
        dps.linked_hubs.sort_by(|a, b| a.host.cmp(&b.host));
        self.are_free(&claims).await?;
        commit.conditions.extend(claims.into_iter().map(Condition::Unclaimed));
        commit.writes.push(Write::Dps(Box::new(dps)));
        commit.audit.push(self.audit(call, "dps.put", name.as_str()));
        match self.apply(commit).await? {
            true => Ok(()),
            false => Err(ApiError::Fault(Fault::Contended)),
        }
    }

    /// All provisioning services.
    ///
    /// # Errors
    /// [`ApiError::Fault`].
    pub async fn all_dps(&self) -> Result<Vec<Versioned<Dps>>, ApiError> {
        Ok(self.store.all_dps().await?)
    }

    /// One provisioning service.
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub async fn dps(&self, name: &ServiceName) -> Result<Versioned<Dps>, ApiError> {
        let all = self.store.all_dps().await?;
        all.into_iter().find(|dps| dps.value.name == *name).ok_or(ApiError::NotFound)
    }

    /// Creates a provisioning service, or changes what may be changed.
    ///
    /// # Errors
    /// [`ApiError`]; a host or id scope that another service has is `Invalid`.
    pub async fn put_dps(
        &self,
        call: &Call,
        name: &ServiceName,
        request: DpsRequest,
    ) -> Result<Dps, ApiError> {
        regions_hold(request.regions.as_deref().unwrap_or_default())?;
        for _ in 0..=limits::COMMIT_RETRIES_MAX {
            let all = self.store.all_dps().await?;
            let existing = all.iter().find(|dps| dps.value.name == *name);
            let old = existing.map(|dps| &dps.value);
            demanded(&request.if_match, old.map(Dps::etag).as_ref())?;
            let host = host_of(request.host.as_ref(), old.map(|old| &old.host), name)?;
            let mut claims = Vec::new();
            if old.is_none_or(|old| old.host != host) {
                claims.push(Claim::Host(host.clone()));
            }
            let id_scope = match (old, &request.id_scope) {
                (Some(old), Some(wanted)) if *wanted != old.id_scope => {
                    return Err(ApiError::Invalid(
                        "idScope: a provisioning service keeps its id scope for ever".to_owned(),
                    ));
                }
                (Some(old), Some(_) | None) => old.id_scope.clone(),
                (None, wanted) => {
                    let id_scope = wanted.clone().unwrap_or_else(|| self.fresh_scope());
                    claims.push(Claim::Scope(id_scope.clone()));
                    id_scope
                }
            };
            self.are_free(&claims).await?;
            let mut dps = match old {
                Some(old) => Dps { host, ..old.clone() },
                None => self.fresh_dps(name.clone(), host, id_scope),
            };
            dps.network = self.network(call, old.map(|old| &old.network), &request.network)?;
            let quota = request.quota.applied_to(dps.quota);
            dps.quota = quota.map_err(|error| ApiError::Invalid(format!("quota: {error}")))?;
            dps.allocation_policy = request.allocation_policy.unwrap_or(dps.allocation_policy);
            if let Some(regions) = &request.regions {
                dps.regions.clone_from(regions);
            }
            // Of the very row that is written anew: what is changed in between is read again.
            let generation = existing.map(|row| row.revision);
            let audited = ("dps.put", name.as_str());
            let mut commit = self.instance_commit(call, name, generation, audited, dps.clone());
            commit.conditions.extend(claims.into_iter().map(Condition::Unclaimed));
            if self.apply(commit).await? {
                self.earlier_writes_done().await;
                return Ok(dps);
            }
        }
        Err(ApiError::Fault(Fault::Contended))
    }

    /// The limits of a provisioning service and how far each is used (S-30).
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub async fn limits(&self, name: &ServiceName) -> Result<Vec<Use>, ApiError> {
        let view = self.store.instance(name).await?.ok_or(ApiError::NotFound)?;
        let registrations = self.store.registration_count(name).await?;
        let individuals = self.store.individual_count(name).await?;
        Ok(uses(&view, registrations, individuals))
    }

    /// Removes a provisioning service with its enrollments and records; hubs stay. Certificates
    /// that it has issued are refused.
    ///
    /// # Errors
    /// [`ApiError::NotFound`]; `PreconditionFailed` for another version.
    pub async fn delete_dps(
        &self,
        call: &Call,
        name: &ServiceName,
        if_match: &IfMatch,
    ) -> Result<(), ApiError> {
        let mut changes = vec![ChangeScope::Directory];
        changes.extend(self.every_hub());
        for _ in 0..=limits::COMMIT_RETRIES_MAX {
            let row = self.dps(name).await?;
            demanded(if_match, Some(&row.value.etag()))?;
            let at = Condition::Instance { dps: name.clone(), generation: Some(row.revision) };
            let commit = Commit {
                conditions: rested_on(if_match, at),
                writes: vec![Write::DeleteDps(name.clone())],
                changes: changes.clone(),
                audit: vec![self.audit(call, "dps.delete", name.as_str())],
            };
            if self.apply(commit).await? {
                self.earlier_writes_done().await;
                return Ok(());
            }
        }
        Err(ApiError::Fault(Fault::Contended))
    }

    /// All hubs.
    ///
    /// # Errors
    /// [`ApiError::Fault`].
    pub async fn all_hubs(&self) -> Result<Vec<Versioned<Hub>>, ApiError> {
        Ok(self.store.all_hubs().await?)
    }

    /// One hub.
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub async fn hub(&self, name: &ServiceName) -> Result<Versioned<Hub>, ApiError> {
        let all = self.store.all_hubs().await?;
        all.into_iter().find(|hub| hub.value.name == *name).ok_or(ApiError::NotFound)
    }

    /// Creates a hub, or changes from where it may be called: sessions of devices that may not
    /// come from where they are end first.
    ///
    /// # Errors
    /// [`ApiError`]; a host that another service has is `Invalid`, and so is a new host for an
    /// existing hub: its devices know it by its host.
    pub async fn put_hub(
        &self,
        call: &Call,
        name: &ServiceName,
        request: HubRequest,
    ) -> Result<Hub, ApiError> {
        for _ in 0..=limits::COMMIT_RETRIES_MAX {
            let all = self.store.all_hubs().await?;
            let existing = all.iter().find(|hub| hub.value.name == *name);
            let host = host_of(request.host.as_ref(), existing.map(|hub| &hub.value.host), name)?;
            demanded(&request.if_match, existing.map(|hub| hub.value.etag()).as_ref())?;
            if let Some(existing) = existing {
                let before = &existing.value;
                if before.host != host {
                    return Err(ApiError::Invalid(
                        "hostName: a hub keeps its host, by which its devices know it".to_owned(),
                    ));
                }
                let network = self.network(call, Some(&before.network), &request.network)?;
                if network == before.network {
                    // Whoever wrote it may not have seen to the end what comes of it.
                    let hub = ChangeScope::Hub { hub: host };
                    self.barrier(&[hub]).await.map_err(ApiError::Fault)?;
                    return Ok(before.clone());
                }
                let audited = ("hub.network", name.as_str());
                let changed = self
                    .change_hub(call, name, audited, |hub| {
                        demanded(&request.if_match, Some(&hub.etag()))?;
                        hub.network = self.network(call, Some(&hub.network), &request.network)?;
                        Ok(())
                    })
                    .await?;
                self.earlier_writes_done().await;
                return Ok(changed);
            }
            let claim = Claim::Host(host.clone());
            self.are_free(std::slice::from_ref(&claim)).await?;
            let network = self.network(call, None, &request.network)?;
            let hub = Hub { network, ..self.fresh_hub(name.clone(), host) };
            let absent = Condition::Hub { name: name.clone(), at: None };
            let commit = Commit {
                conditions: vec![absent, Condition::Unclaimed(claim)],
                writes: vec![Write::Hub(Box::new(hub.clone()))],
                changes: vec![ChangeScope::Directory],
                audit: vec![self.audit(call, "hub.put", name.as_str())],
            };
            if self.apply(commit).await? {
                return Ok(hub);
            }
        }
        Err(ApiError::Fault(Fault::Contended))
    }

    /// Removes a hub with its identities; its live sessions end first.
    ///
    /// # Errors
    /// [`ApiError::NotFound`]; `PreconditionFailed` for another version; `Invalid` while a
    /// provisioning service is linked to it.
    pub async fn delete_hub(
        &self,
        call: &Call,
        name: &ServiceName,
        if_match: &IfMatch,
    ) -> Result<(), ApiError> {
        let Versioned { value: hub, revision } = self.hub(name).await?;
        demanded(if_match, Some(&hub.etag()))?;
        let linked = self
            .store
            .all_dps()
            .await?
            .into_iter()
            .find(|dps| dps.value.linked_hubs.iter().any(|linked| linked.host == hub.host));
        if let Some(dps) = linked {
            return Err(ApiError::Invalid(format!(
                "the hub is linked to {}: remove the link first",
                dps.value.name
            )));
        }
        let at = Condition::Hub { name: name.clone(), at: Some(revision) };
        let commit = Commit {
            conditions: rested_on(if_match, at),
            writes: vec![Write::DeleteHub(name.clone())],
            changes: vec![ChangeScope::Directory, ChangeScope::Hub { hub: hub.host }],
            audit: vec![self.audit(call, "hub.delete", name.as_str())],
        };
        match self.apply(commit).await? {
            true => {
                self.earlier_writes_done().await;
                Ok(())
            }
            // Whoever demands a version is told of another one.
            false => Err(ApiError::PreconditionFailed),
        }
    }

    /// Links a hub to a provisioning service, or changes of the link what is said.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] for the service; `Invalid` for a hub that is neither here nor named
    /// by a connection string.
    pub async fn put_link(
        &self,
        call: &Call,
        name: &ServiceName,
        hub: &HostName,
        request: &LinkRequest,
    ) -> Result<Dps, ApiError> {
        let is_here = self.directory().hub(hub).is_some();
        if !is_here && self.directory().endpoint(hub).is_some() {
            return Err(ApiError::Invalid(format!("hostName: {hub} is of this server")));
        }
        if request.allocation_weight.is_some_and(|weight| !(1..=1000).contains(&weight)) {
            return Err(ApiError::Invalid("allocationWeight: is not in 1..=1000".to_owned()));
        }
        let max = limits::LATENCY_MILLISECONDS_MAX;
        let slow = |(_, latency): &(&RegionName, &u32)| **latency > max;
        if let Some((region, latency)) = request.latencies.iter().flatten().find(slow) {
            return Err(ApiError::Invalid(format!(
                "latencies: {latency} from {region} is over {max} milliseconds"
            )));
        }
        self.change_dps(call, name, ("dps.link", name.as_str()), |dps| {
            let linked = dps.linked_hubs.iter().find(|linked| linked.host == *hub);
            demanded(&request.if_match, linked.map(LinkedHub::etag).as_ref())?;
            let remote = match is_here {
                true => None,
                false => Some(remote(hub, request.connection.as_ref(), dps.remote(hub))?),
            };
            let old = dps.linked_hubs.iter().position(|linked| linked.host == *hub);
            let old = old.map(|at| dps.linked_hubs.remove(at));
            let weight = request.allocation_weight;
            let applies = request.apply_allocation_policy;
            let latencies = request.latencies.clone();
            let link = LinkedHub {
                host: hub.clone(),
                allocation_weight: weight
                    .or_else(|| old.as_ref().map(|old| old.allocation_weight))
                    .unwrap_or(1),
                apply_allocation_policy: applies
                    .or_else(|| old.as_ref().map(|old| old.apply_allocation_policy))
                    .unwrap_or(true),
                remote,
                latencies: latencies
                    .or_else(|| old.as_ref().map(|old| old.latencies.clone()))
                    .unwrap_or_default(),
            };
            let max = dps.quota.linked_hubs;
            if old.is_none() && u64::try_from(dps.linked_hubs.len()).unwrap_or(u64::MAX) >= max {
                return Err(ApiError::QuotaReached { what: "linked hubs", max });
            }
            dps.linked_hubs.push(link);
            dps.linked_hubs.sort_by(|a, b| a.host.cmp(&b.host));
            Ok(())
        })
        .await
    }

    /// Unlinks a hub; identities there stay.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] for the service or the link.
    pub async fn delete_link(
        &self,
        call: &Call,
        name: &ServiceName,
        hub: &HostName,
        if_match: &IfMatch,
    ) -> Result<Dps, ApiError> {
        self.change_dps(call, name, ("dps.unlink", name.as_str()), |dps| {
            let linked = dps.linked_hubs.iter().find(|linked| linked.host == *hub);
            let linked = linked.ok_or(ApiError::NotFound)?;
            demanded(if_match, Some(&linked.etag()))?;
            dps.linked_hubs.retain(|linked| linked.host != *hub);
            Ok(())
        })
        .await
    }

    /// Changes a provisioning service; the audit trail has `(action, subject)`.
    pub(crate) async fn change_dps(
        &self,
        call: &Call,
        name: &ServiceName,
        audited: (&str, &str),
        change: impl Fn(&mut Dps) -> Result<(), ApiError>,
    ) -> Result<Dps, ApiError> {
        self.change_dps_beyond(call, name, audited, Vec::new(), change).await
    }

    /// The same, where live sessions at `hubs` may have rested on what is gone: they end first.
    pub(crate) async fn change_dps_beyond(
        &self,
        call: &Call,
        name: &ServiceName,
        audited: (&str, &str),
        hubs: Vec<ChangeScope>,
        change: impl Fn(&mut Dps) -> Result<(), ApiError>,
    ) -> Result<Dps, ApiError> {
        for _ in 0..=limits::COMMIT_RETRIES_MAX {
            let view = self.store.instance(name).await?.ok_or(ApiError::NotFound)?;
            let mut dps = view.dps.clone();
            change(&mut dps)?;
            let generation = Some(view.generation);
            let mut commit = self.instance_commit(call, name, generation, audited, dps.clone());
            commit.changes.extend(hubs.iter().cloned());
            if self.apply(commit).await? {
                return Ok(dps);
            }
        }
        Err(ApiError::Fault(Fault::Contended))
    }

    /// Changes a hub; the audit trail has `(action, subject)`. Sessions that rested on what is
    /// gone end first.
    pub(crate) async fn change_hub(
        &self,
        call: &Call,
        name: &ServiceName,
        (action, subject): (&str, &str),
        change: impl Fn(&mut Hub) -> Result<(), ApiError>,
    ) -> Result<Hub, ApiError> {
        for _ in 0..=limits::COMMIT_RETRIES_MAX {
            let row = self.hub(name).await?;
            let mut hub = row.value;
            change(&mut hub)?;
            let commit = Commit {
                conditions: vec![Condition::Hub { name: name.clone(), at: Some(row.revision) }],
                writes: vec![Write::Hub(Box::new(hub.clone()))],
                changes: vec![ChangeScope::Directory, ChangeScope::Hub { hub: hub.host.clone() }],
                audit: vec![self.audit(call, action, subject)],
            };
            if self.apply(commit).await? {
                return Ok(hub);
            }
        }
        Err(ApiError::Fault(Fault::Contended))
    }

    fn instance_commit(
        &self,
        call: &Call,
        name: &ServiceName,
        generation: Option<model::Revision>,
        (action, subject): (&str, &str),
        dps: Dps,
    ) -> Commit {
        Commit {
            conditions: vec![Condition::Instance { dps: name.clone(), generation }],
            writes: vec![Write::Dps(Box::new(dps))],
            changes: vec![ChangeScope::Directory],
            audit: vec![self.audit(call, action, subject)],
        }
    }

    /// Applies a commit and its changes; `false` asks the caller to load and decide again.
    pub(crate) async fn apply(&self, commit: Commit) -> Result<bool, ApiError> {
        let changes = commit.changes.clone();
        match self.commit(commit).await.map_err(sorted) {
            Ok(_) => {
                self.barrier(&changes).await.map_err(ApiError::Fault)?;
                Ok(true)
            }
            Err(Retry::Again) => Ok(false),
            Err(Retry::Never(fault)) => Err(ApiError::Fault(fault)),
        }
    }

    pub(crate) fn audit(&self, call: &Call, action: &str, subject: &str) -> AuditLine {
        AuditLine {
            at: self.now(),
            actor: call.actor.clone(),
            action: action.to_owned(),
            subject: subject.to_owned(),
            tracking_id: call.tracking_id.clone(),
        }
    }

    /// What comes of a wish; one that shuts out who has it is refused unless it is forced.
    fn network(
        &self,
        call: &Call,
        before: Option<&NetworkAccess>,
        request: &NetworkRequest,
    ) -> Result<NetworkAccess, ApiError> {
        let before = before.cloned().unwrap_or_default();
        let after = NetworkAccess {
            public: request.public.unwrap_or(before.public),
            rules: request.rules.clone().unwrap_or_else(|| before.rules.clone()),
        };
        after.check().map_err(ApiError::Invalid)?;
        let shut_out = match (call.from, request.force) {
            (Some(from), false) => before.shuts_out(&after, from, &self.private_networks),
            (Some(_) | None, _) => None,
        };
        match shut_out {
            Some(because) => Err(ApiError::ShutsOut(because)),
            None => Ok(after),
        }
    }

    /// Whether nobody has these yet: a provisioning service and a hub share no host either,
    /// whatever their names are.
    async fn are_free(&self, claims: &[Claim]) -> Result<(), ApiError> {
        let (dps, hubs) = (self.store.all_dps().await?, self.store.all_hubs().await?);
        let reserved = [crate::directory::ADMIN_HOST, crate::directory::GLOBAL_ALIAS];
        for claim in claims {
            let is_taken = dps.iter().any(|dps| claim.is_of_dps(&dps.value))
                || hubs.iter().any(|hub| claim.is_of_hub(&hub.value));
            match claim {
                Claim::Host(host) if is_taken || reserved.contains(&host.as_str()) => {
                    return Err(ApiError::Invalid(format!("hostName: {host} is taken")));
                }
                Claim::Scope(scope) if is_taken => {
                    return Err(ApiError::Invalid(format!("idScope: {scope} is taken")));
                }
                Claim::Host(_) | Claim::Scope(_) => {}
            }
        }
        Ok(())
    }

    fn fresh_scope(&self) -> IdScope {
        let mut bytes = [0_u8; 4];
        self.entropy.fill(&mut bytes);
        IdScope::from_random(bytes)
    }

    /// A provisioning service as it begins.
    fn fresh_dps(&self, name: ServiceName, host: HostName, id_scope: IdScope) -> Dps {
        Dps {
            name,
            id_scope,
            host,
            allocation_policy: AllocationPolicy::Hashed,
            linked_hubs: Vec::new(),
            policies: self.dps_policies(),
            network: NetworkAccess::default(),
            quota: Quota::default(),
            regions: Vec::new(),
            challenge_secret: None,
            expiry_exceptions: Vec::new(),
            issuance: Issuance::default(),
            created: self.now(),
        }
    }

    /// A hub as it begins.
    fn fresh_hub(&self, name: ServiceName, host: HostName) -> Hub {
        Hub {
            name,
            host,
            policies: self.hub_policies(),
            network: NetworkAccess::default(),
            created: self.now(),
        }
    }

    /// The policy of a new provisioning service (K-09): all rights.
    fn dps_policies(&self) -> Vec<Policy<DpsRight>> {
        let rights = vec![
            DpsRight::ServiceConfig,
            DpsRight::EnrollmentRead,
            DpsRight::EnrollmentWrite,
            DpsRight::DeviceConnect,
            DpsRight::RegistrationStatusRead,
            DpsRight::RegistrationStatusWrite,
        ];
        vec![self.policy("provisioningserviceowner", rights)]
    }

    /// The policies of a new hub (`iot-hub` §1.2).
    fn hub_policies(&self) -> Vec<Policy<HubRight>> {
        use HubRight::{DeviceConnect, RegistryRead, RegistryWrite, ServiceConnect};
        vec![
            self.policy(
                "iothubowner",
                vec![RegistryRead, RegistryWrite, ServiceConnect, DeviceConnect],
            ),
            self.policy("service", vec![ServiceConnect]),
            self.policy("device", vec![DeviceConnect]),
            self.policy("registryRead", vec![RegistryRead]),
            self.policy("registryReadWrite", vec![RegistryRead, RegistryWrite]),
        ]
    }

    #[expect(clippy::expect_used, reason = "the names are literals of the alphabet")]
    fn policy<R>(&self, name: &str, rights: Vec<R>) -> Policy<R> {
        Policy {
            name: PolicyName::parse(name).expect("a default policy has a proper name"),
            rights,
            primary: environment::key::<32>(self.entropy.as_ref()),
            secondary: environment::key::<32>(self.entropy.as_ref()),
        }
    }
}

/// Whether regions have names of their own and are few enough.
fn regions_hold(regions: &[Region]) -> Result<(), ApiError> {
    let max = limits::REGIONS_MAX;
    if regions.len() > max {
        return Err(ApiError::Invalid(format!("regions: there are more than {max}")));
    }
    let mut names = HashSet::new();
    for Region { name, networks } in regions {
        let max = limits::REGION_NETWORKS_MAX;
        if !names.insert(name) {
            return Err(ApiError::Invalid(format!("regions: {name} is there twice")));
        }
        if networks.len() > max {
            return Err(ApiError::Invalid(format!("regions: {name} has more than {max} networks")));
        }
    }
    Ok(())
}

/// The host that was asked for, else the present one, else `{name}.localhost`.
fn host_of(
    wanted: Option<&HostName>,
    present: Option<&HostName>,
    name: &ServiceName,
) -> Result<HostName, ApiError> {
    match wanted.or(present) {
        Some(host) => Ok(host.clone()),
        None => HostName::parse(&format!("{name}.localhost"))
            .map_err(|error| ApiError::Invalid(format!("hostName: {error}"))),
    }
}

/// Whether a demanded version is the present one.
///
/// # Errors
/// [`ApiError::PreconditionFailed`], or `NotFound` when a version of nothing is demanded.
pub(crate) fn demanded(if_match: &IfMatch, present: Option<&model::Etag>) -> Result<(), ApiError> {
    match (if_match, present) {
        (IfMatch::Absent, _) | (IfMatch::Any, Some(_)) => Ok(()),
        (IfMatch::Etag(wanted), Some(present)) if wanted == present => Ok(()),
        (IfMatch::Etag(_), Some(_)) => Err(ApiError::PreconditionFailed),
        (IfMatch::Any | IfMatch::Etag(_), None) => Err(ApiError::NotFound),
    }
}

/// What a deletion rests on: the row as it was read where a version of it is demanded.
fn rested_on(if_match: &IfMatch, row: Condition) -> Vec<Condition> {
    match if_match {
        IfMatch::Etag(_) => vec![row],
        IfMatch::Absent | IfMatch::Any => Vec::new(),
    }
}

/// How the registry of a hub elsewhere is reached: as the operator says, or as before where a
/// connection string came back masked, or not at all.
fn remote(
    hub: &HostName,
    connection: Option<&Connection>,
    kept: Option<&RemoteHub>,
) -> Result<RemoteHub, ApiError> {
    let invalid = |why: String| Err(ApiError::Invalid(why));
    let Some(Connection { host, authority, policy, key }) = connection else {
        return match kept {
            Some(kept) => Ok(kept.clone()),
            None => invalid(format!("there is no hub {hub}")),
        };
    };
    if host != hub {
        return invalid(format!("connectionString: its HostName is {host}, not {hub}"));
    }
    let key = match (key, kept) {
        (Some(key), _) => key.clone(),
        (None, Some(kept)) if kept.authority == *authority && kept.policy == *policy => {
            kept.key.clone()
        }
        (None, _) => {
            return invalid("connectionString: its SharedAccessKey is masked".to_owned());
        }
    };
    Ok(RemoteHub { authority: authority.clone(), policy: policy.clone(), key })
}
