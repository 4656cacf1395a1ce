//! From where a service may be called: `publicNetworkAccess` and `ipFilterRules`.
//!
//! Source: `dps-service-api` §4; a hub's rules have a target as well.

use attestation::network::{Action, IpFilterRule, NetworkAccess, PublicNetworkAccess, Target};
use serde::{Deserialize, Serialize};

use crate::json::Object;
use crate::percent;
use crate::rest::error::ApiFault;
use crate::rest::service::word;

const ACCESS_WORDS: &[&str] = &["Enabled", "Disabled"];
const ACTION_WORDS: &[&str] = &["Accept", "Reject"];
const TARGET_WORDS: &[&str] = &["all", "serviceApi", "deviceApi"];

/// The members of a service's properties.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkJson<'a> {
    public_network_access: &'static str,
    ip_filter_rules: Vec<RuleJson<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RuleJson<'a> {
    filter_name: &'a str,
    action: &'static str,
    ip_mask: String,
    target: &'static str,
}

pub(super) fn json(network: &NetworkAccess) -> NetworkJson<'_> {
    NetworkJson {
        public_network_access: match network.public {
            PublicNetworkAccess::Enabled => "Enabled",
            PublicNetworkAccess::Disabled => "Disabled",
        },
        ip_filter_rules: network
            .rules
            .iter()
            .map(|rule| RuleJson {
                filter_name: &rule.name,
                action: match rule.action {
                    Action::Accept => "Accept",
                    Action::Reject => "Reject",
                },
                ip_mask: rule.mask.to_string(),
                target: match rule.target {
                    Target::All => "all",
                    Target::ServiceApi => "serviceApi",
                    Target::DeviceApi => "deviceApi",
                },
            })
            .collect(),
    }
}

/// What may be said of it; all rules at once, as in an ARM resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkBody {
    /// The switch.
    pub public: Option<PublicNetworkAccess>,
    /// The rules.
    pub rules: Option<Vec<IpFilterRule>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RuleMembers {
    filter_name: String,
    action: String,
    ip_mask: String,
    target: Option<String>,
}

/// Reads the two members of a body.
pub(super) fn read(
    public: Option<String>,
    rules: Option<Vec<Object<RuleMembers>>>,
) -> Result<NetworkBody, ApiFault> {
    let access = [PublicNetworkAccess::Enabled, PublicNetworkAccess::Disabled];
    let public = public
        .map(|given| word("publicNetworkAccess", &given, ACCESS_WORDS, &access))
        .transpose()?;
    let rules = rules.map(|rules| {
        rules.into_iter().enumerate().map(|(at, Object(rule))| rule.read(at)).collect()
    });
    Ok(NetworkBody { public, rules: rules.transpose()? })
}

impl RuleMembers {
    fn read(self, at: usize) -> Result<IpFilterRule, ApiFault> {
        let Self { filter_name, action, ip_mask, target } = self;
        let targets = [Target::All, Target::ServiceApi, Target::DeviceApi];
        let given: String = ip_mask.chars().take(64).collect();
        Ok(IpFilterRule {
            name: filter_name,
            action: word("action", &action, ACTION_WORDS, &[Action::Accept, Action::Reject])?,
            mask: ip_mask.parse().map_err(|because| {
                ApiFault::Invalid(format!("ipFilterRules[{at}].ipMask: {given:?} {because}"))
            })?,
            target: target
                .map(|given| word("target", &given, TARGET_WORDS, &targets))
                .transpose()?
                .unwrap_or_default(),
        })
    }
}

/// Reads `force=true|false`: whether a change is done that shuts out its caller.
///
/// # Errors
/// [`ApiFault::UnknownWord`].
pub fn force(query: &str) -> Result<bool, ApiFault> {
    match percent::value(query, "force") {
        None => Ok(false),
        Some(given) => word("force", &percent::decoded(given), &["true", "false"], &[true, false]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rest::admin::{dps_body, hub_body};
    use crate::samples::value;

    #[test]
    fn s_75_rules_are_read_as_they_are_written() {
        let body = br#"{"properties": {"publicNetworkAccess": "disabled", "ipFilterRules": [
            {"filterName": "site", "action": "Accept", "ipMask": "10.1.0.0/16",
             "target": "deviceApi"},
            {"filterName": "six", "action": "accept", "ipMask": "fd00::/8", "target": "serviceapi"},
            {"filterName": "rest", "action": "Reject", "ipMask": "0.0.0.0/0"}]}}"#;
        let read = dps_body(body).unwrap().network;
        assert_eq!(hub_body(body).unwrap().network, read);
        let network = NetworkAccess { public: read.public.unwrap(), rules: read.rules.unwrap() };
        let written = value(&crate::json::utf8_json(&json(&network)));
        assert_eq!(written["publicNetworkAccess"], "Disabled");
        assert_eq!(
            written["ipFilterRules"],
            json!([
                {"filterName": "site", "action": "Accept", "ipMask": "10.1.0.0/16",
                 "target": "deviceApi"},
                {"filterName": "six", "action": "Accept", "ipMask": "fd00::/8",
                 "target": "serviceApi"},
                {"filterName": "rest", "action": "Reject", "ipMask": "0.0.0.0/0", "target": "all"},
            ])
        );
        assert_eq!(dps_body(b"").unwrap().network, NetworkBody::default());
    }

    #[test]
    fn s_75_what_is_no_rule_is_told() {
        for (member, told) in [
            (r#""ipMask": "10.0.0.0/40", "action": "Accept""#, "ipFilterRules[0].ipMask"),
            (r#""ipMask": "::/0", "action": "Drop""#, "give one of Accept, Reject"),
            (
                r#""ipMask": "::/0", "action": "Accept", "target": "x""#,
                "all, serviceApi, deviceApi",
            ),
        ] {
            let rule = format!(r#"{{"filterName": "a", {member}}}"#);
            let body = format!(r#"{{"properties": {{"ipFilterRules": [{rule}]}}}}"#);
            let fault = dps_body(body.as_bytes()).unwrap_err().to_string();
            assert!(fault.contains(told), "{fault}");
        }
        assert_eq!(force("force=True&x=1"), Ok(true));
        assert_eq!(force("x=1"), Ok(false));
        assert!(force("force=1").is_err());
    }
}
