//! Regions, latencies, and the question where a device would go (`dps-service-api` family L).

use core::net::IpAddr;
use std::collections::BTreeMap;

use model::{EnrollmentGroupId, RegionName, RegistrationId};
use provisioning::instance::Region;
use serde::Deserialize;

use crate::json::{Object, read};
use crate::rest::error::ApiFault;

#[derive(Deserialize)]
pub(super) struct RegionMembers {
    name: String,
    networks: Vec<String>,
}

/// Reads all regions of a body.
pub(super) fn regions(regions: Vec<Object<RegionMembers>>) -> Result<Vec<Region>, ApiFault> {
    regions.into_iter().enumerate().map(|(at, Object(region))| region.read(at)).collect()
}

impl RegionMembers {
    fn read(self, of: usize) -> Result<Region, ApiFault> {
        let networks = self.networks.iter().enumerate().map(|(at, text)| {
            text.parse().map_err(|because| {
                let given: String = text.chars().take(64).collect();
                ApiFault::Invalid(format!("regions[{of}].networks[{at}]: {given:?} {because}"))
            })
        });
        Ok(Region { name: region(&self.name)?, networks: networks.collect::<Result<_, _>>()? })
    }
}

fn region(name: &str) -> Result<RegionName, ApiFault> {
    RegionName::parse(name).map_err(|because| ApiFault::Id { of: "region", because })
}

/// Reads the milliseconds from each region.
pub(super) fn latencies(
    read: BTreeMap<String, u32>,
) -> Result<BTreeMap<RegionName, u32>, ApiFault> {
    read.into_iter().map(|(name, milliseconds)| Ok((region(&name)?, milliseconds))).collect()
}

/// What an operator wants to know of an allocation.
#[derive(Clone, Debug, PartialEq)]
pub struct AllocationTestBody {
    /// The device.
    pub registration_id: RegistrationId,
    /// The group that would let it in, if it has no enrollment of its own.
    pub enrollment_group_id: Option<EnrollmentGroupId>,
    /// Where it would call from.
    pub address: Option<IpAddr>,
    /// What it would send along.
    pub payload: Option<serde_json::Value>,
    /// Whether a webhook that has a say is asked.
    pub ask_webhook: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TestMembers {
    registration_id: String,
    enrollment_group_id: Option<String>,
    address: Option<String>,
    payload: Option<serde_json::Value>,
    #[serde(default)]
    ask_webhook: bool,
}

/// Reads the body of `POST dps/{name}/allocation-test`.
///
/// # Errors
/// [`ApiFault`].
pub fn allocation_test_body(body: &[u8]) -> Result<AllocationTestBody, ApiFault> {
    let TestMembers { registration_id, enrollment_group_id, address, payload, ask_webhook } =
        read(body)?;
    let address = address.map(|text| {
        text.parse().map_err(|_| {
            let given: String = text.chars().take(64).collect();
            ApiFault::Invalid(format!("address: {given:?} is no IPv4 or IPv6 address"))
        })
    });
    Ok(AllocationTestBody {
        registration_id: RegistrationId::parse(&registration_id)
            .map_err(|because| ApiFault::Id { of: "registration", because })?,
        enrollment_group_id: enrollment_group_id
            .map(|text| EnrollmentGroupId::parse(&text))
            .transpose()
            .map_err(|because| ApiFault::Id { of: "enrollment group", because })?,
        address: address.transpose()?,
        payload,
        ask_webhook,
    })
}

#[cfg(test)]
mod tests {
    use model::IdError;

    use super::super::{dps_body, link_body};
    use super::*;

    #[test]
    fn l_05_a_region_that_is_none_is_named_with_its_place() {
        let body = br#"{"properties": {"regions": [
            {"name": "n", "networks": ["10.0.0.0/8", "10.1.0.0/33"]}]}}"#;
        let because = "regions[0].networks[1]: \"10.1.0.0/33\" is no address or range of addresses \
            such as 10.1.0.0/16 or fd00::/8";
        assert_eq!(dps_body(body), Err(ApiFault::Invalid(because.to_owned())));
    }

    #[test]
    fn l_05_a_name_that_is_none_is_told_as_that() {
        let body = br#"{"properties": {"regions": [{"name": "", "networks": []}]}}"#;
        let expected = ApiFault::Id { of: "region", because: IdError::Empty };
        assert_eq!(dps_body(body), Err(expected.clone()));
        assert_eq!(link_body(br#"{"latencies": {"": 3}}"#).unwrap_err(), expected);
    }

    #[test]
    fn l_05_latencies_that_are_not_said_are_not_none() {
        for body in [&b""[..], b"{}", br#"{"latencies": null}"#] {
            assert_eq!(link_body(body).unwrap().latencies, None);
        }
        let none = link_body(br#"{"latencies": {}}"#).unwrap();
        assert_eq!(none.latencies, Some(BTreeMap::new()));
    }

    #[test]
    fn l_05_a_test_of_no_device_says_what_is_wrong() {
        let expected = ApiFault::Id { of: "registration", because: IdError::Empty };
        assert_eq!(allocation_test_body(br#"{"registrationId": ""}"#), Err(expected));
        let body = br#"{"registrationId": "a", "address": "10.1"}"#;
        let because = r#"address: "10.1" is no IPv4 or IPv6 address"#;
        assert_eq!(allocation_test_body(body), Err(ApiFault::Invalid(because.to_owned())));
        let because = "registrationId is missing, at line 1 column 2".to_owned();
        assert_eq!(allocation_test_body(b"{}"), Err(ApiFault::Malformed { because }));
    }
}
