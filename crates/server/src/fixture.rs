//! A fixture: everything that a server of a test or a laptop begins with, in one TOML file.
//!
//! What it is: a typed reading of the file ([`read`]) and its application ([`apply::apply`])
//! through the same drafts and rules as the service API. All faults are told at once, each with
//! the file and the key that it is at.
//!
//! What it is not: a second judge of enrollments. Whatever the service API takes is taken here,
//! but for a misspelled member, which a file's author wants to hear of.

pub(crate) mod apply;
mod entries;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use attestation::SymmetricKey;
use attestation::x509::Certificate;
use hub::draft::DeviceDraft;
use model::{CertificateName, HostName, IdScope, IfMatch, PolicyName, RegionName, ServiceName};
use provisioning::draft::{GroupDraft, IndividualDraft};
use provisioning::enrollment::AllocationPolicy;
use provisioning::possession::Vouched;
use provisioning::quota::{Quota, QuotaChange};
use serde::Deserialize;
use service::{
    CertificateRequest, DpsRequest, HubRequest, LinkRequest, NetworkRequest, PolicyKeys,
};

use crate::config::{field, fields};
use crate::pki::GivenCa;
use entries::{devices, groups, individuals};

/// What a fixture holds, each part with the place where it is written.
#[derive(Debug, Default)]
pub(crate) struct Fixture {
    /// The development CA.
    pub(crate) ca: Option<GivenCa>,
    hubs: Vec<At<HubPart>>,
    dps: Vec<At<DpsPart>>,
}

/// A part and the place where it is written: file and key.
#[derive(Debug)]
struct At<T> {
    at: String,
    part: T,
}

#[derive(Debug)]
struct HubPart {
    name: ServiceName,
    request: HubRequest,
    keys: Vec<At<PolicyKeys>>,
    devices: Vec<At<DeviceDraft>>,
}

#[derive(Debug)]
struct DpsPart {
    name: ServiceName,
    request: DpsRequest,
    /// The hubs that it is linked to; all of the fixture where none is named.
    links: Option<Vec<At<Link>>>,
    keys: Vec<At<PolicyKeys>>,
    certificates: Vec<At<CaUpload>>,
    groups: Vec<At<GroupDraft>>,
    individuals: Vec<At<IndividualDraft>>,
}

#[derive(Debug)]
struct Link {
    hub: String,
    request: LinkRequest,
}

#[derive(Debug)]
struct CaUpload {
    name: CertificateName,
    request: CertificateRequest,
}

/// Everything that is wrong with a fixture.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Faults(pub(crate) Vec<String>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0.len() == 1 { "fault" } else { "faults" };
        write!(f, "nothing was started: the fixture has {} {plural}:", self.0.len())?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  - {fault}"))
    }
}

impl std::error::Error for Faults {}

/// Reads a fixture; the files that it names lie relative to it.
///
/// # Errors
/// [`Faults`] with all of them.
pub(crate) fn read(file: &Path) -> Result<Fixture, Faults> {
    let text = fs::read_to_string(file)
        .map_err(|error| Faults(vec![format!("{}: {error}", file.display())]))?;
    let dir = file.parent().unwrap_or_else(|| Path::new(""));
    let mut source = Source { dir, faults: Vec::new() };
    let fixture = source.fixture(&text, &file.display().to_string());
    match source.faults.is_empty() {
        true => Ok(fixture),
        false => Err(Faults(source.faults)),
    }
}

/// Where files are looked for, and what was wrong so far.
struct Source<'f> {
    dir: &'f Path,
    faults: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CaRead {
    certificate: Option<String>,
    key: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct HubRead {
    name: Option<String>,
    host: Option<String>,
    policies: Vec<toml::Value>,
    devices: Vec<toml::Value>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DpsRead {
    name: Option<String>,
    host: Option<String>,
    id_scope: Option<String>,
    allocation_policy: Option<AllocationRead>,
    quota: Option<toml::Value>,
    linked_hubs: Option<Vec<toml::Value>>,
    policies: Vec<toml::Value>,
    certificates: Vec<toml::Value>,
    enrollment_groups: Vec<toml::Value>,
    enrollments: Vec<toml::Value>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct QuotaRead {
    registrations: Option<u64>,
    individual_enrollments: Option<u64>,
    enrollment_groups: Option<u64>,
    ca_certificates: Option<u64>,
    linked_hubs: Option<u64>,
}

#[derive(Clone, Copy, Deserialize)]
enum AllocationRead {
    #[serde(rename = "hashed")]
    Hashed,
    #[serde(rename = "geoLatency")]
    GeoLatency,
    #[serde(rename = "static")]
    Static,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LinkRead {
    name: Option<String>,
    allocation_weight: Option<u32>,
    apply_allocation_policy: Option<bool>,
    latencies: Option<toml::Table>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PolicyRead {
    name: Option<String>,
    primary_key: Option<String>,
    secondary_key: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CertificateRead {
    name: Option<String>,
    certificate: Option<String>,
    verified: Option<bool>,
}

impl Source<'_> {
    fn fixture(&mut self, text: &str, name: &str) -> Fixture {
        let mut fixture = Fixture::default();
        let table: toml::Table = match toml::from_str(text) {
            Ok(table) => table,
            Err(error) => {
                self.faults.push(format!("{name}: {}", error.to_string().trim_end()));
                return fixture;
            }
        };
        for (key, value) in table {
            let at = format!("{name}: {key}");
            match key.as_str() {
                "ca" => fixture.ca = self.ca(value, &at),
                "hubs" => fixture.hubs = self.list(value, &at, Self::hub),
                "dps" => fixture.dps = self.list(value, &at, Self::dps),
                _ => self.fault(&at, "there is no such key; there are ca, hubs, dps"),
            }
        }
        fixture
    }

    fn fault(&mut self, at: &str, because: impl fmt::Display) {
        self.faults.push(format!("{at}: {because}"));
    }

    /// Reads each item of a list; one that has a fault does not hide the next.
    fn list<T>(
        &mut self,
        value: toml::Value,
        at: &str,
        item: impl FnMut(&mut Self, toml::Value, &str) -> Option<T>,
    ) -> Vec<At<T>> {
        let items: Vec<toml::Value> = field(value, at, &mut self.faults).unwrap_or_default();
        self.each(items, at, item)
    }

    fn each<T>(
        &mut self,
        items: Vec<toml::Value>,
        at: &str,
        mut item: impl FnMut(&mut Self, toml::Value, &str) -> Option<T>,
    ) -> Vec<At<T>> {
        let items = items.into_iter().enumerate();
        let read = items.filter_map(|(number, value)| {
            let at = format!("{at}[{number}]");
            item(self, value, &at).map(|part| At { at, part })
        });
        read.collect()
    }

    /// A parsed value, or a fault at the key.
    fn parsed<T, E: fmt::Display>(
        &mut self,
        text: Option<&str>,
        at: &str,
        key: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        match parse(text?) {
            Ok(value) => Some(value),
            Err(because) => {
                self.fault(&format!("{at}.{key}"), because);
                None
            }
        }
    }

    /// A parsed value that must be there.
    fn demanded<T, E: fmt::Display>(
        &mut self,
        text: Option<&str>,
        at: &str,
        key: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        if text.is_none() {
            self.fault(&format!("{at}.{key}"), "is missing");
        }
        self.parsed(text, at, key, parse)
    }

    /// A PEM text, written out or in the file that is named.
    fn pem(&mut self, text: Option<&str>, at: &str, key: &str) -> Option<String> {
        let dir = self.dir;
        self.demanded(text, at, key, |text| match text.contains("-----BEGIN") {
            true => Ok(text.to_owned()),
            false => {
                let file = dir.join(text);
                fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))
            }
        })
    }

    fn ca(&mut self, value: toml::Value, at: &str) -> Option<GivenCa> {
        let read: CaRead = fields(value, at, &mut self.faults);
        let certificate = self.pem(read.certificate.as_deref(), at, "certificate");
        let key = self.pem(read.key.as_deref(), at, "key");
        match GivenCa::parse(&certificate?, &key?) {
            Ok(given) => Some(given),
            Err(because) => {
                self.faults.push(format!("{at}.{because}"));
                None
            }
        }
    }

    fn hub(&mut self, value: toml::Value, at: &str) -> Option<HubPart> {
        let read: HubRead = fields(value, at, &mut self.faults);
        let name = self.demanded(read.name.as_deref(), at, "name", ServiceName::parse);
        let host = self.parsed(read.host.as_deref(), at, "host", HostName::parse);
        let keys = self.each(read.policies, &format!("{at}.policies"), Self::keys);
        let devices = devices(self, read.devices, &format!("{at}.devices"));
        Some(HubPart {
            name: name?,
            request: HubRequest { host, ..HubRequest::default() },
            keys,
            devices,
        })
    }

    fn dps(&mut self, value: toml::Value, at: &str) -> Option<DpsPart> {
        let read: DpsRead = fields(value, at, &mut self.faults);
        let name = self.demanded(read.name.as_deref(), at, "name", ServiceName::parse);
        let request = DpsRequest {
            host: self.parsed(read.host.as_deref(), at, "host", HostName::parse),
            id_scope: self.parsed(read.id_scope.as_deref(), at, "id_scope", IdScope::parse),
            allocation_policy: read.allocation_policy.map(|policy| match policy {
                AllocationRead::Hashed => AllocationPolicy::Hashed,
                AllocationRead::GeoLatency => AllocationPolicy::GeoLatency,
                AllocationRead::Static => AllocationPolicy::Static,
            }),
            network: NetworkRequest::default(),
            quota: self.quota(read.quota, &format!("{at}.quota")),
            regions: None,
            if_match: IfMatch::Absent,
        };
        let links = format!("{at}.linked_hubs");
        let links = read.linked_hubs.map(|items| self.each(items, &links, Self::link));
        let keys = self.each(read.policies, &format!("{at}.policies"), Self::keys);
        let certificates = format!("{at}.certificates");
        let certificates = self.each(read.certificates, &certificates, Self::certificate);
        let groups = groups(self, read.enrollment_groups, &format!("{at}.enrollment_groups"));
        let individuals = individuals(self, read.enrollments, &format!("{at}.enrollments"));
        Some(DpsPart { name: name?, request, links, keys, certificates, groups, individuals })
    }

    fn quota(&mut self, value: Option<toml::Value>, at: &str) -> QuotaChange {
        let Some(value) = value else { return QuotaChange::default() };
        let read: QuotaRead = fields(value, at, &mut self.faults);
        let change = QuotaChange {
            registrations: read.registrations,
            individual_enrollments: read.individual_enrollments,
            enrollment_groups: read.enrollment_groups,
            ca_certificates: read.ca_certificates,
            linked_hubs: read.linked_hubs,
        };
        if let Err(because) = change.applied_to(Quota::default()) {
            self.fault(at, because);
        }
        change
    }

    /// A linked hub: its name, or a table with the name and more.
    fn link(&mut self, value: toml::Value, at: &str) -> Option<Link> {
        let read = match value.as_str() {
            Some(name) => LinkRead { name: Some(name.to_owned()), ..LinkRead::default() },
            None => fields(value, at, &mut self.faults),
        };
        let plain = |text: &str| Ok::<_, std::convert::Infallible>(text.to_owned());
        let hub = self.demanded(read.name.as_deref(), at, "name", plain)?;
        let request = LinkRequest {
            allocation_weight: read.allocation_weight,
            apply_allocation_policy: read.apply_allocation_policy,
            connection: None,
            latencies: read.latencies.map(|read| self.latencies(read, &format!("{at}.latencies"))),
            if_match: IfMatch::Absent,
        };
        Some(Link { hub, request })
    }

    fn latencies(&mut self, read: toml::Table, at: &str) -> BTreeMap<RegionName, u32> {
        let mut latencies = BTreeMap::new();
        for (name, value) in read {
            let at = format!("{at}.{name}");
            let region = RegionName::parse(&name).map_err(|because| self.fault(&at, because));
            let milliseconds = field(value, &at, &mut self.faults);
            if let (Ok(region), Some(milliseconds)) = (region, milliseconds) {
                latencies.insert(region, milliseconds);
            }
        }
        latencies
    }

    fn keys(&mut self, value: toml::Value, at: &str) -> Option<PolicyKeys> {
        let read: PolicyRead = fields(value, at, &mut self.faults);
        let key = SymmetricKey::from_base64;
        let policy = self.demanded(read.name.as_deref(), at, "name", PolicyName::parse);
        let primary = self.parsed(read.primary_key.as_deref(), at, "primary_key", key);
        let secondary = self.parsed(read.secondary_key.as_deref(), at, "secondary_key", key);
        Some(PolicyKeys { policy: policy?, primary, secondary })
    }

    fn certificate(&mut self, value: toml::Value, at: &str) -> Option<CaUpload> {
        let read: CertificateRead = fields(value, at, &mut self.faults);
        let name = self.demanded(read.name.as_deref(), at, "name", CertificateName::parse);
        let pem = self.pem(read.certificate.as_deref(), at, "certificate")?;
        let upload = |pem: &str| Certificate::from_upload(pem.as_bytes());
        let certificate = self.parsed(Some(&pem), at, "certificate", upload);
        let vouched = match read.verified {
            None | Some(true) => Vouched::Yes,
            Some(false) => Vouched::No,
        };
        let request = CertificateRequest { certificate: certificate?, vouched };
        Some(CaUpload { name: name?, request })
    }
}
