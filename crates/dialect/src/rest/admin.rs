//! Muster's own administration API, under `/muster/v1/` (settled D-30).
//!
//! Its resources have the shape of the ARM resources that they stand for (`dps-service-api` §4).

mod connection_string;
mod credential;
mod event;
mod exception;
mod job;
mod network;
mod placing;
mod policy;
mod quota;
mod registrations;

use std::collections::BTreeMap;

use ::hub::instance::Hub;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::{
    CertificateName, Etag, HostName, IdScope, RegionName, ServiceName, Timestamp, VerificationCode,
};
use provisioning::dependents::{Dependence, Dependent};
use provisioning::enrollment::AllocationPolicy;
use provisioning::explain::Explanation;
use provisioning::instance::{CaCertificate, Dps, LinkedHub, Region};
use provisioning::possession::Vouched;
use provisioning::quota::QuotaChange;
use serde::{Deserialize, Serialize};

use super::error::{ApiFault, Missing};
use super::segments;
use crate::json::{Object, object, read};

use self::quota::{QuotaJson, QuotaRead};
pub use self::quota::{UseJson, use_json};
pub use connection_string::{ConnectionString, connection_string};
pub use credential::{
    CredentialBody, CredentialRoute, IssuerBody, credential_body, credential_json,
    credential_policy_json, issuer_body,
};
pub use event::{
    CountJson, EventRoute, SubscriptionBody, SubscriptionJson, TestJson, dead_letter_after,
    dead_letter_json, dead_letters_json, subscription_body, subscription_json, test_json,
};
pub use exception::{ExceptionBody, ExceptionJson, ExceptionRoute, exception_body, exception_json};
pub use job::{JobJson, job_json};
pub use network::{NetworkBody, NetworkJson, force};
pub use placing::{AllocationTestBody, allocation_test_body};
pub use policy::{KeyJson, PolicyRoute, RightName, key_json, policy_body, renew_body};
pub use registrations::{
    ORPHANED_PAGE, OrphanedJson, PurgedJson, RegistrationsRoute, after, group_registrations_json,
    order_body, orphaned_json, reprovision_json,
};

/// What a call addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Provisioning services and their links.
    Dps(DpsRoute),
    /// CA certificates of a provisioning service.
    Certificates(ServiceName, CertificateRoute),
    /// Exceptions for expired certificates.
    Exceptions(ServiceName, ExceptionRoute),
    /// The root and the credential policies of a provisioning service.
    Credentials(ServiceName, CredentialRoute),
    /// Hubs.
    Hubs(HubRoute),
    /// Registration records of a provisioning service.
    Registrations(ServiceName, RegistrationsRoute),
    /// `GET explanations/{registration id or tracking id}`
    Explanations(String),
    /// Event subscriptions.
    Events(EventRoute),
}

/// Provisioning services, under `dps`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DpsRoute {
    /// `GET`
    List,
    /// `GET {name}`
    Get(ServiceName),
    /// `PUT {name}`
    Put(ServiceName),
    /// `DELETE {name}`
    Delete(ServiceName),
    /// `GET|POST {name}/listkeys`
    Keys(ServiceName),
    /// `GET {name}/jobs`
    Jobs(ServiceName),
    /// `GET {name}/linked-hubs`
    Links(ServiceName),
    /// `PUT {name}/linked-hubs/{hub}`, by name or host
    PutLink(ServiceName, String),
    /// `DELETE {name}/linked-hubs/{hub}`, by name or host
    DeleteLink(ServiceName, String),
    /// `{name}/policies/…`
    Policy(ServiceName, PolicyRoute),
    /// `GET {name}/limits`
    Limits(ServiceName),
    /// `POST {name}/allocation-test`
    AllocationTest(ServiceName),
}

/// CA certificates, under `dps/{name}/certificates`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateRoute {
    /// `GET`
    List,
    /// `GET {certificate}`
    Get(CertificateName),
    /// `PUT {certificate}`
    Put(CertificateName),
    /// `DELETE {certificate}`
    Delete(CertificateName),
    /// `POST {certificate}/generateVerificationCode`
    Code(CertificateName),
    /// `POST {certificate}/verify`
    Verify(CertificateName),
    /// `GET {certificate}/dependents`
    Dependents(CertificateName),
}

/// Hubs, under `hubs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HubRoute {
    /// `GET`
    List,
    /// `GET {name}`
    Get(ServiceName),
    /// `PUT {name}`
    Put(ServiceName),
    /// `DELETE {name}`
    Delete(ServiceName),
    /// `GET|POST {name}/listkeys`
    Keys(ServiceName),
    /// `{name}/policies/…`
    Policy(ServiceName, PolicyRoute),
}

/// Reads a method and a path.
///
/// # Errors
/// [`ApiFault`]: nothing is there, another method is wanted, or a name is none.
pub fn route(method: &str, path: &str) -> Result<Route, ApiFault> {
    let segments = segments(path);
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["muster", "v1", "dps", name, "certificates", rest @ ..] => {
            let route = certificates(method, rest)?;
            Ok(Route::Certificates(service(name)?, route))
        }
        ["muster", "v1", "dps", name, "expiry-exceptions", rest @ ..] => {
            let route = exception::route(method, rest)?;
            Ok(Route::Exceptions(service(name)?, route))
        }
        ["muster", "v1", "dps", name, "credential", rest @ ..] => {
            let route = credential::route(method, rest)?;
            Ok(Route::Credentials(service(name)?, route))
        }
        ["muster", "v1", "dps", name, "policies", rest @ ..] => {
            let route = policy::route(method, rest)?;
            Ok(Route::Dps(DpsRoute::Policy(service(name)?, route)))
        }
        ["muster", "v1", "hubs", name, "policies", rest @ ..] => {
            let route = policy::route(method, rest)?;
            Ok(Route::Hubs(HubRoute::Policy(service(name)?, route)))
        }
        [
            "muster",
            "v1",
            "dps",
            name,
            kind @ ("enrollment-groups" | "registrations" | "orphans"),
            rest @ ..,
        ] => {
            let route = registrations::route(method, kind, rest)?;
            Ok(Route::Registrations(service(name)?, route))
        }
        ["muster", "v1", "dps", rest @ ..] => dps(method, rest).map(Route::Dps),
        ["muster", "v1", "hubs", rest @ ..] => hubs(method, rest).map(Route::Hubs),
        ["muster", "v1", "explanations", id] => match method {
            "GET" => Ok(Route::Explanations((*id).to_owned())),
            _ => Err(ApiFault::MethodNotAllowed),
        },
        ["muster", "v1", "event-subscriptions", rest @ ..] => {
            event::route(method, rest).map(Route::Events)
        }
        _ => Err(ApiFault::NotFound(Missing::Path)),
    }
}

fn service(text: &str) -> Result<ServiceName, ApiFault> {
    ServiceName::parse(text).map_err(|because| ApiFault::Id { of: "service", because })
}

fn dps(method: &str, rest: &[&str]) -> Result<DpsRoute, ApiFault> {
    Ok(match (method, rest) {
        ("GET", []) => DpsRoute::List,
        ("GET", [name]) => DpsRoute::Get(service(name)?),
        ("PUT", [name]) => DpsRoute::Put(service(name)?),
        ("DELETE", [name]) => DpsRoute::Delete(service(name)?),
        ("GET" | "POST", [name, "listkeys"]) => DpsRoute::Keys(service(name)?),
        ("GET", [name, "limits"]) => DpsRoute::Limits(service(name)?),
        ("GET", [name, "jobs"]) => DpsRoute::Jobs(service(name)?),
        ("GET", [name, "linked-hubs"]) => DpsRoute::Links(service(name)?),
        ("PUT", [name, "linked-hubs", hub]) => DpsRoute::PutLink(service(name)?, (*hub).to_owned()),
        ("DELETE", [name, "linked-hubs", hub]) => {
            DpsRoute::DeleteLink(service(name)?, (*hub).to_owned())
        }
        ("POST", [name, "allocation-test"]) => DpsRoute::AllocationTest(service(name)?),
        (
            _,
            []
            | [_]
            | [_, "listkeys" | "jobs" | "linked-hubs" | "limits" | "allocation-test"]
            | [_, "linked-hubs", _],
        ) => {
            return Err(ApiFault::MethodNotAllowed);
        }
        (_, _) => return Err(ApiFault::NotFound(Missing::Path)),
    })
}

fn certificates(method: &str, rest: &[&str]) -> Result<CertificateRoute, ApiFault> {
    let name = |text: &str| {
        CertificateName::parse(text).map_err(|because| ApiFault::Id { of: "certificate", because })
    };
    Ok(match (method, rest) {
        ("GET", []) => CertificateRoute::List,
        ("GET", [text]) => CertificateRoute::Get(name(text)?),
        ("PUT", [text]) => CertificateRoute::Put(name(text)?),
        ("DELETE", [text]) => CertificateRoute::Delete(name(text)?),
        ("POST", [text, "generateVerificationCode"]) => CertificateRoute::Code(name(text)?),
        ("POST", [text, "verify"]) => CertificateRoute::Verify(name(text)?),
        ("GET", [text, "dependents"]) => CertificateRoute::Dependents(name(text)?),
        (_, [] | [_] | [_, "generateVerificationCode" | "verify" | "dependents"]) => {
            return Err(ApiFault::MethodNotAllowed);
        }
        (_, _) => return Err(ApiFault::NotFound(Missing::Path)),
    })
}

fn hubs(method: &str, rest: &[&str]) -> Result<HubRoute, ApiFault> {
    Ok(match (method, rest) {
        ("GET", []) => HubRoute::List,
        ("GET", [name]) => HubRoute::Get(service(name)?),
        ("PUT", [name]) => HubRoute::Put(service(name)?),
        ("DELETE", [name]) => HubRoute::Delete(service(name)?),
        ("GET" | "POST", [name, "listkeys"]) => HubRoute::Keys(service(name)?),
        (_, [] | [_] | [_, "listkeys"]) => return Err(ApiFault::MethodNotAllowed),
        (_, _) => return Err(ApiFault::NotFound(Missing::Path)),
    })
}

/// A list of resources.
#[derive(Serialize)]
pub struct ListJson<T> {
    /// The resources.
    pub value: Vec<T>,
}

/// A resource: its name, its etag if it has one, its properties.
#[derive(Serialize)]
pub struct ResourceJson<'a, P> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<Etag>,
    properties: P,
}

/// Properties of a provisioning service.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DpsProperties<'a> {
    id_scope: &'a str,
    state: &'static str,
    service_operations_host_name: &'a str,
    device_provisioning_host_name: &'a str,
    allocation_policy: &'static str,
    iot_hubs: Vec<LinkJson<'a>>,
    #[serde(flatten)]
    network: NetworkJson<'a>,
    #[serde(skip_serializing_if = "<[Region]>::is_empty")]
    regions: &'a [Region],
    quota: QuotaJson,
}

/// A linked hub.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LinkJson<'a> {
    name: &'a str,
    etag: Etag,
    allocation_weight: u32,
    apply_allocation_policy: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_string: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    latencies: &'a BTreeMap<RegionName, u32>,
}

/// Properties of a hub.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HubProperties<'a> {
    host_name: &'a str,
    state: &'static str,
    #[serde(flatten)]
    network: NetworkJson<'a>,
}

/// Properties of a CA certificate.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateProperties<'a> {
    subject: &'a str,
    expiry: Timestamp,
    thumbprint: String,
    is_verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    verification_code: Option<&'a str>,
    certificate: String,
    created: Timestamp,
    updated: Timestamp,
}

/// A group that rests on a CA certificate.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DependentJson<'a> {
    enrollment_group_id: &'a str,
    provisioning_status: &'static str,
    by: &'static str,
    other_slot_holds: bool,
}

/// A group that rests on a CA certificate, as a resource.
pub fn dependent_json(dependent: &Dependent) -> DependentJson<'_> {
    DependentJson {
        enrollment_group_id: dependent.group.as_str(),
        provisioning_status: if dependent.enabled { "enabled" } else { "disabled" },
        by: match dependent.by {
            Dependence::Reference => "reference",
            Dependence::Chain => "chain",
        },
        other_slot_holds: dependent.other_slot_holds,
    }
}

/// One explanation of an attempt.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplanationJson<'a> {
    /// The id in the answer; empty for what was kept with a record.
    pub tracking_id: &'a str,
    /// The instance.
    pub dps: &'a str,
    /// The protocol; empty for what was kept with a record.
    pub protocol: &'a str,
    /// The story.
    pub explanation: &'a Explanation,
}

/// A provisioning service as a resource.
pub fn dps_json(dps: &Dps) -> ResourceJson<'_, DpsProperties<'_>> {
    ResourceJson {
        name: dps.name.as_str(),
        etag: Some(dps.etag()),
        properties: DpsProperties {
            id_scope: dps.id_scope.as_str(),
            state: "Active",
            service_operations_host_name: dps.host.as_str(),
            device_provisioning_host_name: dps.host.as_str(),
            // ARM spells policies with a capital, the data plane without.
            allocation_policy: match dps.allocation_policy {
                AllocationPolicy::Hashed => "Hashed",
                AllocationPolicy::GeoLatency => "GeoLatency",
                AllocationPolicy::Static => "Static",
                AllocationPolicy::Custom => "Custom",
            },
            iot_hubs: dps.linked_hubs.iter().map(link_json).collect(),
            network: network::json(&dps.network),
            regions: &dps.regions,
            quota: QuotaJson::of(dps.quota),
        },
    }
}

/// A linked hub as a resource.
pub fn link_json(link: &LinkedHub) -> LinkJson<'_> {
    LinkJson {
        name: link.host.as_str(),
        etag: link.etag(),
        allocation_weight: link.allocation_weight,
        apply_allocation_policy: link.apply_allocation_policy,
        connection_string: link.remote.as_ref().map(connection_string::masked),
        latencies: &link.latencies,
    }
}

/// A hub as a resource.
pub fn hub_json(hub: &Hub) -> ResourceJson<'_, HubProperties<'_>> {
    ResourceJson {
        name: hub.name.as_str(),
        etag: Some(hub.etag()),
        properties: HubProperties {
            host_name: hub.host.as_str(),
            state: "Active",
            network: network::json(&hub.network),
        },
    }
}

/// A CA certificate as a resource, with the code that a proof of possession has to name.
pub fn certificate_code_json(ca: &CaCertificate) -> ResourceJson<'_, CertificateProperties<'_>> {
    let mut resource = certificate_json(ca);
    resource.properties.verification_code = ca.code.as_ref().map(VerificationCode::as_str);
    resource
}

/// A CA certificate as a resource.
pub fn certificate_json(ca: &CaCertificate) -> ResourceJson<'_, CertificateProperties<'_>> {
    ResourceJson {
        name: ca.name.as_str(),
        etag: Some(ca.etag.clone()),
        properties: CertificateProperties {
            subject: ca.certificate.subject_text(),
            expiry: ca.certificate.not_after(),
            thumbprint: ca.certificate.sha1_thumbprint().to_string(),
            is_verified: ca.verified,
            verification_code: None,
            certificate: STANDARD.encode(ca.certificate.der()),
            created: ca.created,
            updated: ca.updated,
        },
    }
}

/// What may be said of a provisioning service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DpsBody {
    /// Its host.
    pub host: Option<HostName>,
    /// Its id scope, at creation.
    pub id_scope: Option<IdScope>,
    /// Its default allocation policy.
    pub allocation_policy: Option<AllocationPolicy>,
    /// From where it may be called.
    pub network: NetworkBody,
    /// Its limits, as far as they are to be others.
    pub quota: QuotaChange,
    /// All regions that devices may be in.
    pub regions: Option<Vec<Region>>,
}

/// What may be said of a linked hub.
#[derive(Clone, Debug, Default)]
pub struct LinkBody {
    /// 1..=1000.
    pub allocation_weight: Option<u32>,
    /// Whether an allocation may choose it.
    pub apply_allocation_policy: Option<bool>,
    /// How its registry is reached, for a hub that lives elsewhere.
    pub connection: Option<ConnectionString>,
    /// Milliseconds from each region, all of them.
    pub latencies: Option<BTreeMap<RegionName, u32>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LinkRead {
    allocation_weight: Option<u32>,
    apply_allocation_policy: Option<bool>,
    connection_string: Option<String>,
    latencies: Option<BTreeMap<String, u32>>,
}

/// What may be said of a hub.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HubBody {
    /// Its host.
    pub host: Option<HostName>,
    /// From where it may be called.
    pub network: NetworkBody,
}

/// What is uploaded as a CA certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateBody {
    /// PEM or base64 DER.
    pub certificate: String,
    /// Whether the operator vouches for it, where anything is said of that.
    pub vouched: Vouched,
}

#[derive(Deserialize)]
struct Body<P> {
    properties: Object<P>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ServiceProperties {
    host_name: Option<String>,
    id_scope: Option<String>,
    allocation_policy: Option<String>,
    public_network_access: Option<String>,
    ip_filter_rules: Option<Vec<Object<network::RuleMembers>>>,
    regions: Option<Vec<Object<placing::RegionMembers>>>,
    #[serde(deserialize_with = "object")]
    quota: Option<QuotaRead>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UploadProperties {
    certificate: String,
    is_verified: Option<bool>,
}

fn service_properties(body: &[u8]) -> Result<ServiceProperties, ApiFault> {
    match body.trim_ascii().is_empty() {
        true => Ok(ServiceProperties::default()),
        false => {
            read::<Body<ServiceProperties>>(body).map(|Body { properties: Object(read) }| read)
        }
    }
}

fn host(text: Option<String>) -> Result<Option<HostName>, ApiFault> {
    text.map(|text| HostName::parse(&text))
        .transpose()
        .map_err(|because| ApiFault::Id { of: "host", because })
}

/// Reads the body of `PUT dps/{name}`; it may be empty.
///
/// # Errors
/// [`ApiFault`].
pub fn dps_body(body: &[u8]) -> Result<DpsBody, ApiFault> {
    let ServiceProperties {
        host_name,
        id_scope,
        allocation_policy,
        public_network_access,
        ip_filter_rules,
        regions,
        quota,
    } = service_properties(body)?;
    let network = network::read(public_network_access, ip_filter_rules)?;
    let id_scope = id_scope
        .map(|text| IdScope::parse(&text))
        .transpose()
        .map_err(|because| ApiFault::Id { of: "id scope", because })?;
    let known: &[&str] = &["Hashed", "GeoLatency", "Static"];
    let policy = |text: String| match text.to_ascii_lowercase().as_str() {
        "hashed" => Ok(AllocationPolicy::Hashed),
        "geolatency" => Ok(AllocationPolicy::GeoLatency),
        "static" => Ok(AllocationPolicy::Static),
        _ => Err(ApiFault::UnknownWord { member: "allocationPolicy", given: text, known }),
    };
    let allocation_policy = allocation_policy.map(policy).transpose()?;
    let regions = regions.map(placing::regions).transpose()?;
    let quota = quota.map(quota::change).transpose()?.unwrap_or_default();
    Ok(DpsBody { host: host(host_name)?, id_scope, allocation_policy, network, regions, quota })
}

/// Reads the body of `PUT hubs/{name}`; it may be empty.
///
/// # Errors
/// [`ApiFault`].
pub fn hub_body(body: &[u8]) -> Result<HubBody, ApiFault> {
    let read = service_properties(body)?;
    let network = network::read(read.public_network_access, read.ip_filter_rules)?;
    Ok(HubBody { host: host(read.host_name)?, network })
}

/// Reads the body of `PUT dps/{name}/linked-hubs/{hub}`; it may be empty.
///
/// # Errors
/// [`ApiFault`].
pub fn link_body(body: &[u8]) -> Result<LinkBody, ApiFault> {
    match body.trim_ascii().is_empty() {
        true => Ok(LinkBody::default()),
        false => {
            let LinkRead {
                allocation_weight,
                apply_allocation_policy,
                connection_string: text,
                latencies,
            } = read(body)?;
            let connection = text.as_deref().map(connection_string).transpose()?;
            let latencies = latencies.map(placing::latencies).transpose()?;
            Ok(LinkBody { allocation_weight, apply_allocation_policy, connection, latencies })
        }
    }
}

/// Reads the body of `PUT dps/{name}/certificates/{certificate}`.
///
/// # Errors
/// [`ApiFault`].
pub fn certificate_body(body: &[u8]) -> Result<CertificateBody, ApiFault> {
    let Body { properties: Object(UploadProperties { certificate, is_verified }) } = read(body)?;
    let vouched = match is_verified {
        None => Vouched::Unsaid,
        Some(true) => Vouched::Yes,
        Some(false) => Vouched::No,
    };
    Ok(CertificateBody { certificate, vouched })
}

/// Reads the body of `POST …/certificates/{certificate}/verify`: PEM or base64 DER.
///
/// # Errors
/// [`ApiFault`].
pub fn proof_body(body: &[u8]) -> Result<String, ApiFault> {
    #[derive(Deserialize)]
    struct Body {
        certificate: String,
    }
    read::<Body>(body).map(|body| body.certificate)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by Schemathesis.
    #[test]
    fn a_05_a_method_that_is_none_is_told_before_a_name_that_is_none() {
        for path in [
            "dps/000",
            "dps/000/certificates/a",
            "dps/000/linked-hubs/a",
            "dps/000/policies/a",
            "dps/000/registrations/a/reprovision",
            "dps/000/enrollment-groups/a/reprovision",
            "event-subscriptions/a",
            "hubs/000",
            "hubs/000/policies/a",
        ] {
            let path = format!("/muster/v1/{path}");
            assert_eq!(route("TRACE", &path), Err(ApiFault::MethodNotAllowed), "{path}");
            assert!(matches!(route("PUT", &path), Err(ApiFault::Id { .. })), "{path}");
        }
    }
}
