//! Who may call beside shared access policies, and from where.

use std::path::PathBuf;

use attestation::network::{Action, IpFilterRule, Network, NetworkAccess, Target};
use serde::{Deserialize, Serialize};

/// Access as the operator wants it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Access {
    /// A file of issuers whose bearer tokens are taken; none: shared access policies alone.
    pub(crate) issuers_file: Option<PathBuf>,
    /// From where the administration may be called, beside the server's own machine; none:
    /// from everywhere.
    pub(crate) admin_networks: Option<Vec<Network>>,
    /// What is let in where public network access is disabled; none: the usual private networks.
    pub(crate) private_networks: Option<Vec<Network>>,
}

impl Access {
    /// From where the administration may be called, as rules that are named after the setting.
    pub(crate) fn admin_network(&self) -> NetworkAccess {
        let rule = |action, mask| IpFilterRule {
            name: "access.admin_networks".to_owned(),
            action,
            mask,
            target: Target::All,
        };
        let Some(networks) = &self.admin_networks else { return NetworkAccess::default() };
        let accepted = networks.iter().map(|network| rule(Action::Accept, *network));
        let rules = accepted.chain([rule(Action::Reject, Network::EVERYWHERE)]).collect();
        NetworkAccess { rules, ..NetworkAccess::default() }
    }
}

#[cfg(test)]
mod tests {
    use attestation::network::Api;

    use super::*;

    #[test]
    fn s_75_the_administrations_networks_let_in_themselves_alone() {
        let admits = |access: &Access, from: &str| {
            access.admin_network().admit(from.parse().unwrap(), Api::Service, &[])
        };
        assert!(admits(&Access::default(), "203.0.113.1").is_ok());
        let office: Access =
            toml::from_str("admin_networks = [\"10.1.0.0/16\", \"fd00::/8\"]").unwrap();
        for (from, is_in) in
            [("10.1.2.3", true), ("fd00::1", true), ("10.2.0.1", false), ("2001:db8::1", false)]
        {
            assert_eq!(admits(&office, from).is_ok(), is_in, "{from}");
        }
        let refused = admits(&office, "10.2.0.1").unwrap_err().to_string();
        assert!(refused.contains("access.admin_networks"), "{refused}");
        assert!(toml::from_str::<Access>("private_networks = [\"10.1\"]").is_err());
        let written = serde_json::to_value(&office).unwrap();
        assert_eq!(written["admin_networks"][0], "10.1.0.0/16");
    }
}
