//! Where a call may come from: IP filter rules, and the switch of public network access.
//!
//! Source: `dps-service-api` §4, `ipFilterRules` and `publicNetworkAccess`; the hub's have the same
//! form.

use core::net::{IpAddr, Ipv4Addr};
use std::fmt;
use std::str::FromStr;

use model::limits::{IP_FILTER_NAME_CHARS_MAX, IP_FILTER_RULES_MAX};
use serde::{Deserialize, Serialize};

/// A range of addresses: an address and how many of its leading bits count (RFC 4632, RFC 4291).
///
/// An IPv4 address that is mapped into IPv6 is the IPv4 address. `0.0.0.0/0` is every address, of
/// IPv6 as well: it is how rules say *all* that were written where there is no IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// A text is no range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoNetwork;

impl fmt::Display for NoNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is no address or range of addresses such as 10.1.0.0/16 or fd00::/8")
    }
}

impl std::error::Error for NoNetwork {}

impl FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let given: IpAddr = address.parse().map_err(|_| NoNetwork)?;
        let width = width(given);
        let bits = match bits {
            None => width,
            Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
                digits.parse().ok().filter(|bits| *bits <= width).ok_or(NoNetwork)?
            }
            Some(_) => return Err(NoNetwork),
        };
        match (given.to_canonical(), given.is_ipv4()) {
            // Every address, whatever bits stand behind none.
            (IpAddr::V4(_), true) if bits == 0 => Ok(Self::EVERYWHERE),
            (address, true) => Ok(Self { address, bits }),
            (address @ IpAddr::V6(_), false) => Ok(Self { address, bits }),
            // Mapped: 96 bits stand before the address. All of IPv4 and nothing of IPv6 is no
            // network, as `0.0.0.0/0` is both.
            (address @ IpAddr::V4(_), false) => match bits.checked_sub(96) {
                Some(bits @ 1..) => Ok(Self { address, bits }),
                Some(0) | None => Err(NoNetwork),
            },
        }
    }
}

impl TryFrom<String> for Network {
    type Error = NoNetwork;

    fn try_from(text: String) -> Result<Self, NoNetwork> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

const fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

impl Network {
    /// Every address.
    pub const EVERYWHERE: Self = Self { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), bits: 0 };

    /// How many leading bits count: of two ranges with an address the one with more is nearer.
    pub const fn bits(&self) -> u8 {
        self.bits
    }

    /// Whether the address is in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        if *self == Self::EVERYWHERE {
            return true;
        }
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(range), IpAddr::V4(address)) => {
                let rest = 32_u32.saturating_sub(u32::from(self.bits));
                let differing = range.to_bits() ^ address.to_bits();
                differing.checked_shr(rest).unwrap_or(0) == 0
            }
            (IpAddr::V6(range), IpAddr::V6(address)) => {
                let rest = 128_u32.saturating_sub(u32::from(self.bits));
                let differing = range.to_bits() ^ address.to_bits();
                differing.checked_shr(rest).unwrap_or(0) == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// The networks that are private where an operator names none: those that no route of the public
/// Internet leads to. Source: RFC 1918, RFC 3927, RFC 4193, RFC 4291 §2.5.6.
const PRIVATE: [&str; 6] =
    ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10"];

/// The networks that are private where an operator names none.
pub fn private_by_default() -> Vec<Network> {
    PRIVATE.iter().filter_map(|text| text.parse().ok()).collect()
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// It lets in.
    Accept,
    /// It refuses.
    Reject,
}

/// Which API a rule is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// Both.
    #[default]
    All,
    /// Operators'.
    ServiceApi,
    /// Devices'.
    DeviceApi,
}

/// Which API is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// Operators'.
    Service,
    /// Devices', on every protocol.
    Device,
}

/// A rule about a range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpFilterRule {
    /// Its name, once in a service, without regard to case.
    pub name: String,
    /// What it does.
    pub action: Action,
    /// To whom.
    pub mask: Network,
    /// At which API.
    pub target: Target,
}

/// Whether the public may come at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PublicNetworkAccess {
    /// Every address is judged by the rules.
    #[default]
    Enabled,
    /// Only addresses of private networks are; all others are refused.
    Disabled,
}

/// From where a service may be called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkAccess {
    /// The switch.
    pub public: PublicNetworkAccess,
    /// The rules: the first that is about an address decides, and without one it is let in.
    pub rules: Vec<IpFilterRule>,
}

/// Why an address is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Public network access is disabled.
    Public {
        /// The address.
        from: IpAddr,
    },
    /// A rule says so.
    Rule {
        /// The address.
        from: IpAddr,
        /// The rule's name.
        name: String,
        /// Its range.
        mask: Network,
    },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public { from } => write!(
                f,
                "Public network access is disabled, and {from} is in no private network of this \
                 server"
            ),
            Self::Rule { from, name, mask } => {
                write!(f, "The IP filter rule {name} (Reject {mask}) refuses {from}")
            }
        }
    }
}

impl NetworkAccess {
    /// Whether an address may call an API; `private` are the server's private networks, to which
    /// loopback always belongs.
    ///
    /// Whom the rules refuse stays refused when public network access is disabled.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn admit(&self, from: IpAddr, api: Api, private: &[Network]) -> Result<(), Refused> {
        let from = from.to_canonical();
        let is_private = || from.is_loopback() || private.iter().any(|one| one.contains(from));
        match self.public {
            PublicNetworkAccess::Disabled if !is_private() => {
                return Err(Refused::Public { from });
            }
            PublicNetworkAccess::Disabled | PublicNetworkAccess::Enabled => {}
        }
        let deciding = self.rules.iter().find(|rule| {
            let targets = match rule.target {
                Target::All => true,
                Target::ServiceApi => api == Api::Service,
                Target::DeviceApi => api == Api::Device,
            };
            targets && rule.mask.contains(from)
        });
        match deciding {
            Some(IpFilterRule { action: Action::Reject, name, mask, .. }) => {
                Err(Refused::Rule { from, name: name.clone(), mask: *mask })
            }
            Some(IpFilterRule { action: Action::Accept, .. }) | None => Ok(()),
        }
    }

    /// Whether a change would take the service API from the very address that asks for it.
    pub fn shuts_out(&self, after: &Self, from: IpAddr, private: &[Network]) -> Option<Refused> {
        self.admit(from, Api::Service, private).ok()?;
        after.admit(from, Api::Service, private).err()
    }

    /// Whether the rules can stand together.
    ///
    /// # Errors
    /// A sentence: what, where, how to mend it.
    pub fn check(&self) -> Result<(), String> {
        if self.rules.len() > IP_FILTER_RULES_MAX {
            return Err(format!("ipFilterRules: there are more than {IP_FILTER_RULES_MAX}"));
        }
        for (at, rule) in self.rules.iter().enumerate() {
            let name = &rule.name;
            if !(1..=IP_FILTER_NAME_CHARS_MAX).contains(&name.chars().count())
                || name.chars().any(char::is_control)
            {
                return Err(format!(
                    "ipFilterRules[{at}].filterName: is not 1 to {IP_FILTER_NAME_CHARS_MAX} \
                     characters long"
                ));
            }
            let earlier = self.rules.iter().take(at);
            if earlier
                .map(|rule| rule.name.to_lowercase())
                .any(|other| other == name.to_lowercase())
            {
                return Err(format!("ipFilterRules[{at}].filterName: {name:?} is there twice"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    fn rule(name: &str, action: Action, mask: &str, target: Target) -> IpFilterRule {
        IpFilterRule { name: name.to_owned(), action, mask: network(mask), target }
    }

    fn rules(rules: Vec<IpFilterRule>) -> NetworkAccess {
        NetworkAccess { public: PublicNetworkAccess::Enabled, rules }
    }

    #[test]
    fn s_75_ranges_are_of_both_families_and_mapped_addresses_are_of_ipv4() {
        for (range, inside, outside) in [
            ("10.1.0.0/16", "10.1.255.255", "10.2.0.0"),
            ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
            ("10.1.2.3/8", "10.255.0.0", "11.0.0.0"),
            ("10.1.0.0/16", "::ffff:10.1.2.3", "::ffff:10.2.2.3"),
            ("::ffff:10.1.0.0/112", "10.1.2.3", "10.2.2.3"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("2001:db8::1", "2001:db8::1", "2001:db8::2"),
            ("::/0", "2001:db8::1", "10.1.2.3"),
            ("0.0.0.0/1", "127.0.0.1", "2001:db8::1"),
        ] {
            assert!(network(range).contains(ip(inside)), "{range} {inside}");
            assert!(!network(range).contains(ip(outside)), "{range} {outside}");
        }
        for all in ["10.1.2.3", "::1", "2001:db8::1", "::ffff:10.1.2.3"] {
            assert!(network("0.0.0.0/0").contains(ip(all)), "{all}");
        }
        for none in
            ["", "10.1", "10.1.2.3/33", "10.1.2.3/-1", "10.1.2.3/+8", "::/129", "a/8", "10.0.0.0/"]
        {
            assert_eq!(none.parse::<Network>(), Err(NoNetwork), "{none}");
        }
        assert_eq!("::ffff:10.1.0.0/95".parse::<Network>(), Err(NoNetwork));
        assert_eq!("::ffff:0:0/96".parse::<Network>(), Err(NoNetwork), "IPv4 and no IPv6");
        assert_eq!(network("10.1.0.0/0"), Network::EVERYWHERE);
        assert_eq!(network("::ffff:10.1.0.0/112").to_string(), "10.1.0.0/16");
    }

    #[test]
    fn s_75_the_first_rule_about_an_address_decides() {
        let access = rules(vec![
            rule("site", Action::Accept, "10.1.0.0/16", Target::All),
            rule("bad", Action::Reject, "10.1.2.3", Target::All),
            rule("office", Action::Accept, "192.0.2.0/24", Target::ServiceApi),
            rule("rest", Action::Reject, "0.0.0.0/0", Target::All),
        ]);
        let admitted = |from, api| access.admit(ip(from), api, &[]).map_err(|no| no.to_string());
        assert_eq!(admitted("10.1.2.3", Api::Device), Ok(()), "an earlier rule decides");
        assert_eq!(admitted("192.0.2.7", Api::Service), Ok(()));
        let no =
            |from: &str| Err(format!("The IP filter rule rest (Reject 0.0.0.0/0) refuses {from}"));
        assert_eq!(admitted("192.0.2.7", Api::Device), no("192.0.2.7"));
        assert_eq!(admitted("2001:db8::1", Api::Service), no("2001:db8::1"));
        assert_eq!(admitted("::ffff:203.0.113.1", Api::Service), no("203.0.113.1"));
        assert_eq!(NetworkAccess::default().admit(ip("203.0.113.1"), Api::Service, &[]), Ok(()));
    }

    #[test]
    fn s_75_without_public_access_private_networks_and_loopback_are_left() {
        let private = [network("10.0.0.0/8"), network("fd00::/8")];
        let access = NetworkAccess {
            public: PublicNetworkAccess::Disabled,
            rules: vec![rule("bad", Action::Reject, "10.9.9.9", Target::All)],
        };
        let admitted = |from| access.admit(ip(from), Api::Service, &private);
        for from in ["10.1.2.3", "::ffff:10.1.2.3", "fd00::1", "127.0.0.1", "::1"] {
            assert_eq!(admitted(from), Ok(()), "{from}");
        }
        for from in ["203.0.113.1", "2001:db8::1", "192.168.1.1"] {
            assert_eq!(admitted(from), Err(Refused::Public { from: ip(from) }), "{from}");
        }
        assert!(matches!(admitted("10.9.9.9"), Err(Refused::Rule { .. })));
    }

    #[test]
    fn every_private_network_is_read() {
        assert_eq!(private_by_default().len(), PRIVATE.len());
    }

    #[test]
    fn s_75_a_change_that_shuts_out_who_asks_for_it_is_seen() {
        let before = NetworkAccess::default();
        let devices = rules(vec![rule("d", Action::Reject, "0.0.0.0/0", Target::DeviceApi)]);
        let all = rules(vec![rule("a", Action::Reject, "0.0.0.0/0", Target::All)]);
        let here = ip("10.1.2.3");
        assert_eq!(before.shuts_out(&devices, here, &[]), None);
        assert!(matches!(before.shuts_out(&all, here, &[]), Some(Refused::Rule { .. })));
        assert_eq!(all.shuts_out(&all, here, &[]), None, "it was out already");
    }

    #[test]
    fn s_75_rules_have_names_of_their_own() {
        let named = |names: &[&str]| {
            let made = |name: &&str| rule(name, Action::Accept, "::/0", Target::All);
            rules(names.iter().map(made).collect()).check()
        };
        assert_eq!(named(&["a", "b"]), Ok(()));
        assert!(
            named(&["Site", "sITE"]).unwrap_err().contains("[1].filterName: \"sITE\" is there")
        );
        assert!(named(&[""]).is_err() && named(&["a\nb"]).is_err());
        assert!(named(&[&"a".repeat(129)]).is_err());
        let many: Vec<String> = (0..=IP_FILTER_RULES_MAX).map(|at| at.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(named(&many).unwrap_err().contains("more than 100"));
    }

    fn any_rule() -> impl Strategy<Value = IpFilterRule> {
        (any::<bool>(), any::<[u8; 4]>(), 0..=32_u8, 0..3).prop_map(
            |(yes, address, bits, target)| IpFilterRule {
                name: "r".to_owned(),
                action: if yes { Action::Accept } else { Action::Reject },
                mask: Network { address: IpAddr::from(address), bits },
                target: match target {
                    0 => Target::All,
                    1 => Target::ServiceApi,
                    _ => Target::DeviceApi,
                },
            },
        )
    }

    proptest! {
        #[test]
        fn s_75_disabling_public_access_lets_nobody_in(
            list in prop::collection::vec(any_rule(), 0..6),
            from in any::<[u8; 4]>(),
            private in any::<[u8; 4]>(),
            bits in 0..=32_u8,
        ) {
            let enabled = rules(list);
            let disabled =
                NetworkAccess { public: PublicNetworkAccess::Disabled, ..enabled.clone() };
            let private = [Network { address: IpAddr::from(private), bits }];
            for api in [Api::Service, Api::Device] {
                if disabled.admit(IpAddr::from(from), api, &private).is_ok() {
                    prop_assert!(enabled.admit(IpAddr::from(from), api, &private).is_ok());
                }
            }
        }

        #[test]
        fn ranges_are_read_as_they_are_written(address in any::<u128>(), bits in 0..=128_u8) {
            let written = format!("{}/{bits}", core::net::Ipv6Addr::from_bits(address));
            if let Ok(read) = written.parse::<Network>() {
                prop_assert_eq!(read.to_string().parse::<Network>(), Ok(read));
                prop_assert!(read.contains(IpAddr::from(core::net::Ipv6Addr::from_bits(address))));
            }
        }
    }
}
