//! What holds the documents to the code: routes here, shapes in `shapes`.

mod schema;
mod shapes;

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::rest::{admin, allowed, device, hub, service};

/// The operations that a router knows: a name for each route, and the names of all.
macro_rules! operations {
    ($all:ident, $name:ident: $route:ty, { $($pattern:pat => $id:literal,)+ }) => {
        const $all: &[&str] = &[$($id),+];

        fn $name(route: &$route) -> &'static str {
            match route { $($pattern => $id),+ }
        }
    };
}

operations!(SERVICE, of_service: service::Route, {
    service::Route::GetIndividual(_) => "GetIndividual",
    service::Route::PutIndividual(_) => "PutIndividual",
    service::Route::DeleteIndividual(_) => "DeleteIndividual",
    service::Route::QueryIndividuals => "QueryIndividuals",
    service::Route::IndividualMechanism(_) => "IndividualMechanism",
    service::Route::BulkIndividuals => "BulkIndividuals",
    service::Route::GetGroup(_) => "GetGroup",
    service::Route::PutGroup(_) => "PutGroup",
    service::Route::DeleteGroup(_) => "DeleteGroup",
    service::Route::QueryGroups => "QueryGroups",
    service::Route::GroupMechanism(_) => "GroupMechanism",
    service::Route::BulkGroups => "BulkGroups",
    service::Route::GetRegistration(_) => "GetRegistration",
    service::Route::DeleteRegistration(_) => "DeleteRegistration",
    service::Route::QueryRegistrations(_) => "QueryRegistrations",
});

operations!(DEVICE, of_device: device::Route, {
    device::Route::Register(_) => "Register",
    device::Route::Poll(..) => "Poll",
    device::Route::Lookup(_) => "Lookup",
});

operations!(HUB, of_hub: hub::Route, {
    hub::Route::ListDevices => "ListDevices",
    hub::Route::QueryDevices => "QueryDevices",
    hub::Route::GetDevice(_) => "GetDevice",
    hub::Route::PutDevice(_) => "PutDevice",
    hub::Route::DeleteDevice(_) => "DeleteDevice",
    hub::Route::GetTwin(_) => "GetTwin",
    hub::Route::PatchTwin(_) => "PatchTwin",
    hub::Route::PutTwin(_) => "PutTwin",
    hub::Route::BulkDevices => "BulkDevices",
    hub::Route::DeviceStatistics => "DeviceStatistics",
    hub::Route::ServiceStatistics => "ServiceStatistics",
});

operations!(ADMIN_DPS, of_admin_dps: admin::DpsRoute, {
    admin::DpsRoute::List => "ListDps",
    admin::DpsRoute::Get(_) => "GetDps",
    admin::DpsRoute::Put(_) => "PutDps",
    admin::DpsRoute::Limits(_) => "ListLimits",
    admin::DpsRoute::Delete(_) => "DeleteDps",
    admin::DpsRoute::Keys(_) => "ListDpsKeys",
    admin::DpsRoute::Jobs(_) => "ListJobs",
    admin::DpsRoute::Links(_) => "ListLinks",
    admin::DpsRoute::PutLink(..) => "PutLink",
    admin::DpsRoute::DeleteLink(..) => "DeleteLink",
    admin::DpsRoute::AllocationTest(_) => "TestAllocation",
    admin::DpsRoute::Policy(_, admin::PolicyRoute::Get(_)) => "GetDpsPolicy",
    admin::DpsRoute::Policy(_, admin::PolicyRoute::Put(_)) => "PutDpsPolicy",
    admin::DpsRoute::Policy(_, admin::PolicyRoute::Delete(_)) => "DeleteDpsPolicy",
    admin::DpsRoute::Policy(_, admin::PolicyRoute::Renew(_)) => "RenewDpsPolicy",
});

operations!(ADMIN_CERTIFICATES, of_admin_certificates: admin::CertificateRoute, {
    admin::CertificateRoute::List => "ListCertificates",
    admin::CertificateRoute::Get(_) => "GetCertificate",
    admin::CertificateRoute::Put(_) => "PutCertificate",
    admin::CertificateRoute::Delete(_) => "DeleteCertificate",
    admin::CertificateRoute::Code(_) => "CertificateCode",
    admin::CertificateRoute::Verify(_) => "CertificateVerify",
    admin::CertificateRoute::Dependents(_) => "CertificateDependents",
});

operations!(ADMIN_EXCEPTIONS, of_admin_exceptions: admin::ExceptionRoute, {
    admin::ExceptionRoute::List => "ListExpiryExceptions",
    admin::ExceptionRoute::Put(_) => "PutExpiryException",
    admin::ExceptionRoute::Delete(_) => "DeleteExpiryException",
});

operations!(ADMIN_CREDENTIALS, of_admin_credentials: admin::CredentialRoute, {
    admin::CredentialRoute::Root => "CredentialRoot",
    admin::CredentialRoute::List => "ListCredentialPolicies",
    admin::CredentialRoute::Get(_) => "GetCredentialPolicy",
    admin::CredentialRoute::Put(_) => "PutCredentialPolicy",
    admin::CredentialRoute::Delete(_) => "DeleteCredentialPolicy",
    admin::CredentialRoute::Renew(_) => "RenewIssuer",
    admin::CredentialRoute::Revoke(_) => "RevokeIssuer",
});

operations!(ADMIN_HUBS, of_admin_hubs: admin::HubRoute, {
    admin::HubRoute::List => "ListHubs",
    admin::HubRoute::Get(_) => "GetHub",
    admin::HubRoute::Put(_) => "PutHub",
    admin::HubRoute::Delete(_) => "DeleteHub",
    admin::HubRoute::Keys(_) => "ListHubKeys",
    admin::HubRoute::Policy(_, admin::PolicyRoute::Get(_)) => "GetHubPolicy",
    admin::HubRoute::Policy(_, admin::PolicyRoute::Put(_)) => "PutHubPolicy",
    admin::HubRoute::Policy(_, admin::PolicyRoute::Delete(_)) => "DeleteHubPolicy",
    admin::HubRoute::Policy(_, admin::PolicyRoute::Renew(_)) => "RenewHubPolicy",
});

operations!(ADMIN_REGISTRATIONS, of_admin_registrations: admin::RegistrationsRoute, {
    admin::RegistrationsRoute::Group(_) => "GetGroupRegistrations",
    admin::RegistrationsRoute::OrderGroup(_) => "ReprovisionGroup",
    admin::RegistrationsRoute::WithdrawGroup(_) => "WithdrawGroupReprovision",
    admin::RegistrationsRoute::Order(_) => "ReprovisionRegistration",
    admin::RegistrationsRoute::Withdraw(_) => "WithdrawRegistrationReprovision",
    admin::RegistrationsRoute::Orphaned => "ListOrphaned",
    admin::RegistrationsRoute::Purge(_) => "PurgeOrphaned",
});

operations!(ADMIN_EVENTS, of_admin_events: admin::EventRoute, {
    admin::EventRoute::List => "ListSubscriptions",
    admin::EventRoute::Get(_) => "GetSubscription",
    admin::EventRoute::Put(_) => "PutSubscription",
    admin::EventRoute::Delete(_) => "DeleteSubscription",
    admin::EventRoute::Test(_) => "TestSubscription",
    admin::EventRoute::DeadLetters(_) => "DeadLetters",
    admin::EventRoute::DeadLetter(..) => "GetDeadLetter",
    admin::EventRoute::RetryAll(_) => "RetryAllDeadLetters",
    admin::EventRoute::Retry(..) => "RetryDeadLetter",
    admin::EventRoute::PurgeAll(_) => "PurgeAllDeadLetters",
    admin::EventRoute::Purge(..) => "PurgeDeadLetter",
});

const DOCUMENT: &str = "openapi";

fn document(method: &str, path: &str) -> Option<Result<&'static str, ApiFault>> {
    route(method, path).map(|found| found.map(|()| DOCUMENT))
}

fn dps(method: &str, path: &str) -> Result<&'static str, ApiFault> {
    let devices = || device::route(method, path).map(|route| of_device(&route));
    if service::load::is_load_path(path) {
        return service::load::route(method, path, "").map(|_| "Load");
    }
    // Which of the two APIs a path is of is the gateway's to tell, by the path's first word.
    let first = path.split('/').nth(1).unwrap();
    match ["enrollments", "enrollmentGroups", "registrations"].contains(&first) {
        true => service::route(method, path).map(|route| of_service(&route)),
        false => document(method, path).unwrap_or_else(devices),
    }
}

fn hub(method: &str, path: &str) -> Result<&'static str, ApiFault> {
    let sender = || hub::telemetry::sender(method, path).map(|sent| sent.map(|_| "SendMessage"));
    let registry = || hub::route(method, path).map(|route| of_hub(&route));
    document(method, path).or_else(sender).unwrap_or_else(registry)
}

fn admin(method: &str, path: &str) -> Result<&'static str, ApiFault> {
    let own = || {
        admin::route(method, path).map(|route| match &route {
            admin::Route::Dps(route) => of_admin_dps(route),
            admin::Route::Certificates(_, route) => of_admin_certificates(route),
            admin::Route::Exceptions(_, route) => of_admin_exceptions(route),
            admin::Route::Credentials(_, route) => of_admin_credentials(route),
            admin::Route::Hubs(route) => of_admin_hubs(route),
            admin::Route::Explanations(_) => "Explain",
            admin::Route::Registrations(_, route) => of_admin_registrations(route),
            admin::Route::Events(route) => of_admin_events(route),
        })
    };
    document(method, path).unwrap_or_else(own)
}

pub(super) fn parsed(document: Document) -> Value {
    serde_json::from_str(document.text()).unwrap()
}

/// An address of a path's form.
fn filled(path: &str) -> String {
    let segment = |segment: &str| match segment {
        "{registrationId}" | "{deviceId}" | "{id}" => "dev-1".to_owned(),
        "{enrollmentGroupId}" => "group-1".to_owned(),
        "{idScope}" => "0ne00ABCDEF".to_owned(),
        "{operationId}" => "5.ab".to_owned(),
        "{name}" => "dps".to_owned(),
        "{hub}" => "hub1".to_owned(),
        "{certificate}" | "{policy}" | "{subscription}" => "root".to_owned(),
        "{number}" => "7".to_owned(),
        word => {
            assert!(!word.contains('{'), "{word}");
            word.to_owned()
        }
    };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// Every operation of the document is the router's, by method and path, and the other way round.
#[track_caller]
fn check(
    of: Document,
    route: fn(&str, &str) -> Result<&'static str, ApiFault>,
    routes: &[&'static str],
) {
    let document = parsed(of);
    let (mut described, mut ids) = (BTreeSet::new(), BTreeSet::new());
    for (path, item) in document["paths"].as_object().unwrap() {
        let address = filled(path);
        let operations = item.as_object().unwrap();
        for (method, operation) in operations {
            let method = method.to_uppercase();
            let name = route(&method, &address).unwrap_or_else(|fault| {
                panic!("{method} {path} is described, and answered by {fault:?}")
            });
            let id = operation["operationId"].as_str().unwrap();
            assert!(id.starts_with(name), "{method} {path} is {name}, described as {id}");
            assert!(ids.insert(id), "{id} is there twice");
            described.insert(name);
        }
        // What is asked by POST of `query` is by all other methods a thing of that name.
        if !address.ends_with("/query") {
            let known = allowed(|method| route(method, &address));
            let known: BTreeSet<_> = known.split(", ").filter(|known| *known != "HEAD").collect();
            let methods: Vec<_> = operations.keys().map(|method| method.to_uppercase()).collect();
            assert_eq!(known, methods.iter().map(String::as_str).collect(), "{path}");
        }
    }
    assert_eq!(described, routes.iter().copied().chain([DOCUMENT]).collect());
}

#[test]
fn every_route_of_a_provisioning_service_is_described() {
    check(Document::Dps, dps, &[SERVICE, DEVICE, &["Load"]].concat());
}

#[test]
fn every_route_of_a_hub_is_described() {
    check(Document::Hub, hub, &[HUB, &["SendMessage"]].concat());
}

#[test]
fn every_route_of_the_administration_is_described() {
    let own = [
        ADMIN_DPS,
        ADMIN_CERTIFICATES,
        ADMIN_EXCEPTIONS,
        ADMIN_HUBS,
        ADMIN_REGISTRATIONS,
        ADMIN_EVENTS,
        ADMIN_CREDENTIALS,
    ];
    let all = [own.concat().as_slice(), &["Explain"]].concat();
    check(Document::Admin, admin, &all);
}

#[test]
fn the_document_is_one_path_for_readers() {
    assert_eq!(route("GET", "/openapi.json"), Some(Ok(())));
    assert_eq!(route("HEAD", "/openapi.json/"), Some(Ok(())));
    assert_eq!(route("PUT", "/openapi.json"), Some(Err(ApiFault::MethodNotAllowed)));
    assert_eq!(route("GET", "/openapi.json/x"), None);
    assert_eq!(route("GET", "/openapi"), None);
}

/// Every reference leads somewhere, and everything that can be referred to is.
#[test]
fn references_and_components_match() {
    for document in [Document::Dps, Document::Hub, Document::Admin] {
        let parsed = parsed(document);
        let mut referred = BTreeSet::new();
        references(&parsed, &mut referred);
        for (kind, members) in parsed["components"].as_object().unwrap() {
            let schemes = kind == "securitySchemes";
            for name in members.as_object().unwrap().keys().filter(|_| !schemes) {
                let reference = format!("#/components/{kind}/{name}");
                assert!(referred.remove(&reference), "{document:?}: nobody uses {reference}");
            }
        }
        assert_eq!(referred, BTreeSet::new(), "{document:?}");
    }
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
