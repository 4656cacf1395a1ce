//! Muster's own administration (settled D-30), for the CLI and later the portal.

mod credentials;
mod events;
mod exceptions;
mod policies;
mod registrations;

use std::sync::Arc;

use attestation::bearer::{self, Access};
use attestation::x509::Certificate;
use dialect::json::utf8_json;
use dialect::rest::admin::{self, CertificateRoute, DpsRoute, HubRoute, Route};
use dialect::rest::error::{ApiFault, Missing, WireError};
use model::{HostName, IfMatch, ServiceName};
use provisioning::view::RegistrationRequest;
use service::{
    ApiError, Call, CertificateRequest, Connection, DpsRequest, Foretelling, HubRequest,
    LinkRequest, NetworkRequest,
};

use super::access::{self, Guard};
use super::{Asked, Reply};
use crate::metrics::Operation;
use crate::{Gateway, faults};

/// What a policy of the administration grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminRight {
    /// Everything.
    All,
}

/// Notes what a call is.
pub(super) fn note(asked: &Asked) {
    if let Ok(route) = admin::route(&asked.method, &asked.path) {
        asked.note(operation(&route));
    }
}

/// Judges a call by its head: who shows nothing is not told what there is.
pub(super) fn judge(gateway: &Gateway, asked: &Asked) -> Result<(Route, Call), WireError> {
    let route = admin::route(&asked.method, &asked.path);
    let call = authorize(gateway, asked, route.as_ref())?;
    Ok((route.map_err(|fault| faults::dps(&fault))?, call))
}

/// Answers an administrator.
pub(super) async fn answer(gateway: &Arc<Gateway>, asked: Asked) -> Result<Reply, WireError> {
    let fault = |fault: ApiFault| faults::dps(&fault);
    let (route, call) = judge(gateway, &asked)?;
    asked.api_version().map_err(fault)?;
    match route {
        Route::Dps(route) => dps(gateway, &call, route, &asked).await,
        Route::Certificates(dps, route) => certificates(gateway, &call, &dps, route, &asked).await,
        Route::Exceptions(dps, route) => {
            exceptions::answer(gateway, &call, &dps, route, &asked).await
        }
        Route::Credentials(dps, route) => {
            credentials::answer(gateway, &call, &dps, route, &asked).await
        }
        Route::Hubs(route) => hubs(gateway, &call, route, &asked).await,
        Route::Registrations(dps, route) => {
            registrations::answer(gateway, &call, &dps, route, &asked).await
        }
        Route::Explanations(id) => {
            let found = gateway.service.explain(&id).await;
            let found = found.map_err(|error| faults::dps_api(&error, Missing::Registration))?;
            let told = found.iter().map(|attempt| admin::ExplanationJson {
                tracking_id: &attempt.tracking_id,
                dps: attempt.dps.as_str(),
                protocol: &attempt.protocol,
                explanation: &attempt.explanation,
            });
            Ok(list(told.collect::<Vec<_>>()))
        }
        Route::Events(route) => events::answer(gateway, &call, route, &asked).await,
    }
}

const fn operation(route: &Route) -> Operation {
    match route {
        Route::Dps(_) | Route::Exceptions(..) => Operation::AdminDps,
        Route::Certificates(..) => Operation::AdminCertificates,
        Route::Credentials(..) => Operation::AdminCredentials,
        Route::Hubs(_) => Operation::AdminHubs,
        Route::Registrations(..) => Operation::AdminRegistrations,
        Route::Explanations(_) => Operation::AdminExplanations,
        Route::Events(_) => Operation::AdminEvents,
    }
}

async fn dps(
    gateway: &Gateway,
    call: &Call,
    route: DpsRoute,
    asked: &Asked,
) -> Result<Reply, WireError> {
    let own = &gateway.service;
    let failed = |error: ApiError| faults::dps_api(&error, Missing::ProvisioningService);
    let if_match = IfMatch::parse(asked.if_match().map_err(|fault| faults::dps(&fault))?);
    match route {
        DpsRoute::List => {
            let all = own.all_dps().await.map_err(failed)?;
            Ok(list(all.iter().map(|row| admin::dps_json(&row.value)).collect::<Vec<_>>()))
        }
        DpsRoute::Get(name) => {
            let row = own.dps(&name).await.map_err(failed)?;
            Ok(one(&admin::dps_json(&row.value)))
        }
        DpsRoute::Put(name) => {
            let body = admin::dps_body(&asked.body).map_err(|fault| faults::dps(&fault))?;
            let request = DpsRequest {
                host: body.host,
                id_scope: body.id_scope,
                allocation_policy: body.allocation_policy,
                network: network(asked, body.network)?,
                quota: body.quota,
                regions: body.regions,
                if_match,
            };
            let made = own.put_dps(call, &name, request).await.map_err(failed)?;
            Ok(one(&admin::dps_json(&made)))
        }
        DpsRoute::Delete(name) => {
            let deleted = own.delete_dps(call, &name, &if_match).await;
            deleted.map_err(failed).map(|()| Reply::empty(204))
        }
        DpsRoute::Keys(name) => {
            let row = own.dps(&name).await.map_err(failed)?;
            Ok(list(row.value.policies.iter().map(admin::key_json).collect::<Vec<_>>()))
        }
        DpsRoute::Policy(name, route) => policies::of_dps(gateway, call, &name, route, asked).await,
        DpsRoute::Limits(name) => {
            let uses = own.limits(&name).await.map_err(failed)?;
            Ok(list(uses.iter().map(admin::use_json).collect::<Vec<_>>()))
        }
        DpsRoute::Jobs(name) => {
            let all = own.jobs(&name).await.map_err(failed)?;
            let told = all.iter().map(|view| admin::job_json(&view.job, view.trouble.as_deref()));
            Ok(list(told.collect::<Vec<_>>()))
        }
        DpsRoute::AllocationTest(name) => {
            let wrong = |fault| faults::dps(&fault);
            let body = admin::allocation_test_body(&asked.body).map_err(wrong)?;
            let api_version = asked.api_version().map_err(wrong)?.as_str().to_owned();
            let request = RegistrationRequest {
                registration_id: body.registration_id,
                api_version,
                payload: body.payload,
                csr: None,
                from: body.address,
            };
            let (group, ask_webhook) = (body.enrollment_group_id, body.ask_webhook);
            let foretold = own.foretell(&name, &Foretelling { request, group, ask_webhook }).await;
            let explanation =
                foretold.map_err(|error| faults::dps_api(&error, Missing::Enrollment))?;
            Ok(one(&admin::ExplanationJson {
                tracking_id: &call.tracking_id,
                dps: name.as_str(),
                protocol: "",
                explanation: &explanation,
            }))
        }
        DpsRoute::Links(name) => {
            let row = own.dps(&name).await.map_err(failed)?;
            Ok(list(row.value.linked_hubs.iter().map(admin::link_json).collect::<Vec<_>>()))
        }
        DpsRoute::PutLink(name, hub) => {
            let body = admin::link_body(&asked.body).map_err(|fault| faults::dps(&fault))?;
            let hub = match &body.connection {
                Some(_) => hub_elsewhere(gateway, &hub)?,
                None => hub_linked(gateway, &name, &hub)?,
            };
            let request = LinkRequest {
                allocation_weight: body.allocation_weight,
                apply_allocation_policy: body.apply_allocation_policy,
                connection: body.connection.map(connection),
                latencies: body.latencies,
                if_match,
            };
            let changed = own.put_link(call, &name, &hub, &request).await.map_err(failed)?;
            Ok(one(&admin::dps_json(&changed)))
        }
        DpsRoute::DeleteLink(name, hub) => {
            let hub = hub_linked(gateway, &name, &hub)?;
            let gone = |error: ApiError| faults::dps_api(&error, Missing::Hub);
            let deleted = own.delete_link(call, &name, &hub, &if_match).await;
            deleted.map_err(gone).map(|_| Reply::empty(204))
        }
    }
}

async fn certificates(
    gateway: &Gateway,
    call: &Call,
    dps: &ServiceName,
    route: CertificateRoute,
    asked: &Asked,
) -> Result<Reply, WireError> {
    let own = &gateway.service;
    let failed = |error: ApiError| faults::dps_api(&error, Missing::CaCertificate);
    let if_match = IfMatch::parse(asked.if_match().map_err(|fault| faults::dps(&fault))?);
    match route {
        CertificateRoute::List => {
            let all = own.certificates(dps).await.map_err(failed)?;
            Ok(list(all.iter().map(admin::certificate_json).collect::<Vec<_>>()))
        }
        CertificateRoute::Get(name) => {
            let found = own.certificate(dps, &name).await.map_err(failed)?;
            Ok(one(&admin::certificate_json(&found)))
        }
        CertificateRoute::Put(name) => {
            let body = admin::certificate_body(&asked.body).map_err(|fault| faults::dps(&fault))?;
            let certificate = uploaded("properties.certificate", &body.certificate)?;
            let request = CertificateRequest { certificate, vouched: body.vouched };
            let put = own.put_certificate(call, dps, &name, &request, &if_match).await;
            Ok(one(&admin::certificate_json(&put.map_err(failed)?)))
        }
        CertificateRoute::Code(name) => {
            let made = own.generate_verification_code(call, dps, &name, &if_match).await;
            Ok(one(&admin::certificate_code_json(&made.map_err(failed)?)))
        }
        CertificateRoute::Verify(name) => {
            let body = admin::proof_body(&asked.body).map_err(|fault| faults::dps(&fault))?;
            let proof = uploaded("certificate", &body)?;
            let verified = own.verify_certificate(call, dps, &name, &proof, &if_match).await;
            Ok(one(&admin::certificate_json(&verified.map_err(failed)?)))
        }
        CertificateRoute::Dependents(name) => {
            let found = own.certificate_dependents(dps, &name).await.map_err(failed)?;
            Ok(list(found.iter().map(admin::dependent_json).collect::<Vec<_>>()))
        }
        CertificateRoute::Delete(name) => {
            let deleted = own.delete_certificate(call, dps, &name, &if_match).await;
            deleted.map_err(failed).map(|()| Reply::empty(204))
        }
    }
}

fn uploaded(member: &str, text: &str) -> Result<Certificate, WireError> {
    Certificate::from_upload(text.as_bytes())
        .map_err(|because| faults::dps(&ApiFault::Invalid(format!("{member}: {because}"))))
}

async fn hubs(
    gateway: &Gateway,
    call: &Call,
    route: HubRoute,
    asked: &Asked,
) -> Result<Reply, WireError> {
    let own = &gateway.service;
    let failed = |error: ApiError| faults::dps_api(&error, Missing::Hub);
    let if_match = IfMatch::parse(asked.if_match().map_err(|fault| faults::dps(&fault))?);
    match route {
        HubRoute::List => {
            let all = own.all_hubs().await.map_err(failed)?;
            Ok(list(all.iter().map(|row| admin::hub_json(&row.value)).collect::<Vec<_>>()))
        }
        HubRoute::Get(name) => {
            let row = own.hub(&name).await.map_err(failed)?;
            Ok(one(&admin::hub_json(&row.value)))
        }
        HubRoute::Put(name) => {
            let body = admin::hub_body(&asked.body).map_err(|fault| faults::dps(&fault))?;
            let network = network(asked, body.network)?;
            let request = HubRequest { host: body.host, network, if_match };
            let made = own.put_hub(call, &name, request).await;
            Ok(one(&admin::hub_json(&made.map_err(failed)?)))
        }
        HubRoute::Delete(name) => {
            let deleted = own.delete_hub(call, &name, &if_match).await;
            deleted.map_err(failed).map(|()| Reply::empty(204))
        }
        HubRoute::Policy(name, route) => policies::of_hub(gateway, call, &name, route, asked).await,
        HubRoute::Keys(name) => {
            let row = own.hub(&name).await.map_err(failed)?;
            Ok(list(row.value.policies.iter().map(admin::key_json).collect::<Vec<_>>()))
        }
    }
}

/// A hub by its name or its host.
fn hub_named(gateway: &Gateway, text: &str) -> Result<HostName, WireError> {
    let directory = gateway.service.directory();
    let by_name = ServiceName::parse(text).ok();
    let by_host = HostName::parse(text).ok();
    directory
        .hubs
        .iter()
        .find(|hub| Some(&hub.name) == by_name.as_ref() || Some(&hub.host) == by_host.as_ref())
        .map(|hub| hub.host.clone())
        .ok_or_else(|| faults::dps(&ApiFault::NotFound(Missing::Hub)))
}

/// A hub of this server, or one that is linked, by its name or its host.
fn hub_linked(gateway: &Gateway, dps: &ServiceName, text: &str) -> Result<HostName, WireError> {
    hub_named(gateway, text).or_else(|missing| {
        let directory = gateway.service.directory();
        let linked = directory.dps(dps).into_iter().flat_map(|dps| &dps.linked_hubs);
        let is_meant = |host: &HostName| {
            let label = host.as_str().split('.').next();
            host.as_str().eq_ignore_ascii_case(text)
                || label.is_some_and(|label| label.eq_ignore_ascii_case(text))
        };
        let mut found = linked.map(|linked| &linked.host).filter(|host| is_meant(host));
        found.next().cloned().ok_or(missing)
    })
}

/// A hub that a connection string names: by its host, or one of this server by its name too.
fn hub_elsewhere(gateway: &Gateway, text: &str) -> Result<HostName, WireError> {
    hub_named(gateway, text).or_else(|_| {
        HostName::parse(text).map_err(|because| faults::dps(&ApiFault::Id { of: "hub", because }))
    })
}

fn connection(read: admin::ConnectionString) -> Connection {
    let admin::ConnectionString { host, authority, policy, key } = read;
    Connection { host, authority, policy, key }
}

fn authorize(
    gateway: &Gateway,
    asked: &Asked,
    route: Result<&Route, &ApiFault>,
) -> Result<Call, WireError> {
    let guard = Guard {
        at: bearer::Service::Admin,
        policies: &gateway.admin_policies,
        needed: route.map_or(Access::Read, |route| needs(&asked.method, route)),
    };
    let granted = |rights: &[AdminRight]| rights.contains(&AdminRight::All);
    access::authorize(gateway, asked, &guard, granted)
        .map(|caller| caller.call)
        .map_err(|refusal| refusal.dps(gateway))
}

/// What a role must be enough for.
fn needs(method: &str, route: &Route) -> Access {
    match route {
        Route::Dps(DpsRoute::Keys(_) | DpsRoute::Policy(..))
        | Route::Hubs(HubRoute::Keys(_) | HubRoute::Policy(..)) => Access::Own,
        Route::Dps(_)
        | Route::Certificates(..)
        | Route::Exceptions(..)
        | Route::Registrations(..)
        | Route::Hubs(_)
        | Route::Events(_)
        | Route::Credentials(..)
        | Route::Explanations(_) => {
            if method == "GET" {
                Access::Read
            } else {
                Access::Write
            }
        }
    }
}

fn network(asked: &Asked, body: admin::NetworkBody) -> Result<NetworkRequest, WireError> {
    let force = admin::force(&asked.query).map_err(|fault| faults::dps(&fault))?;
    Ok(NetworkRequest { public: body.public, rules: body.rules, force })
}

fn one(json: &impl serde::Serialize) -> Reply {
    Reply::json(200, utf8_json(json))
}

fn list<T: serde::Serialize>(value: Vec<T>) -> Reply {
    one(&admin::ListJson { value })
}
