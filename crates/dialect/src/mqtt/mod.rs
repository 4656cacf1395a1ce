//! Azure's words on MQTT: user names, topics, filters and bodies.

pub mod dps;
pub mod hub;

use crate::percent;

/// Bytes of a request id. Source: ours; SDKs send small numbers and GUIDs. It is echoed in a
/// topic, whose own bound is 65,535.
const RID_BYTES_MAX: usize = 1024;

/// What a client showed beside its names when it connected; not yet judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A password, or a client certificate, or both.
    Shown,
    /// Neither.
    Missing,
}

/// The names of a CONNECT.
#[derive(Clone, Copy, Debug)]
pub struct SignIn<'a> {
    /// The client id.
    pub client_id: &'a str,
    /// The user name, if there is one.
    pub username: Option<&'a str>,
    /// Whether anything was shown that could prove it.
    pub credential: Credential,
}

/// Why a CONNECT is refused, by the return codes of MQTT 3.1.1 §3.2.2.3.
///
/// Source: `dps-device-api` §4.3; `iot-hub` §7.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The client speaks another level of the protocol.
    ProtocolLevel,
    /// The client id is not the id in the user name.
    ClientId,
    /// There is no such id scope or hub, or there is no room now.
    Unavailable,
    /// The user name can not be read.
    Username,
    /// No credential, or one that does not hold.
    NotAuthorized,
}

impl Refusal {
    /// The CONNACK's return code, 1..=5.
    pub const fn return_code(self) -> u8 {
        match self {
            Self::ProtocolLevel => 1,
            Self::ClientId => 2,
            Self::Unavailable => 3,
            Self::Username => 4,
            Self::NotAuthorized => 5,
        }
    }
}

/// The answer to one filter of a SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Grant {
    /// At QoS 0.
    AtMostOnce,
    /// At QoS 1, also where QoS 2 was asked for. Source: `dps-device-api` §4.1, `iot-hub` §7.2.
    AtLeastOnce,
    /// Not at all.
    Refused,
}

impl Grant {
    /// What is granted of a level that was asked for.
    const fn of(qos: u8) -> Self {
        match qos {
            0 => Self::AtMostOnce,
            _ => Self::AtLeastOnce,
        }
    }

    /// The SUBACK's return code: 0, 1 or 128.
    pub const fn return_code(self) -> u8 {
        match self {
            Self::AtMostOnce => 0,
            Self::AtLeastOnce => 1,
            Self::Refused => 0x80,
        }
    }
}

/// A message for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The topic.
    pub topic: String,
    /// The body.
    pub payload: Vec<u8>,
}

/// Which service a user name is for, where the host name of the TLS handshake does not tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Addressee {
    /// The provisioning service of an id scope.
    ProvisioningService {
        /// The scope, unparsed.
        id_scope: String,
    },
    /// A hub.
    Hub {
        /// The host name, unparsed.
        host: String,
    },
}

/// Reads the addressee of a user name: `{idScope}/registrations/…` or `{host}/{deviceId}…`.
///
/// Source: `clients` §1. A host name has a dot or is `localhost`; an id scope has none.
pub fn addressee(username: &str) -> Option<Addressee> {
    let (first, rest) = username.split_once('/')?;
    let second = rest.split('/').next().unwrap_or_default();
    let is_scope = second.eq_ignore_ascii_case("registrations") && !first.contains('.');
    Some(match is_scope {
        true => Addressee::ProvisioningService { id_scope: first.to_owned() },
        false => Addressee::Hub { host: first.to_owned() },
    })
}

/// The request id in the query of a topic, as it stands; empty where there is none, and none
/// where it is too long to be one.
fn rid(query: &str) -> Option<String> {
    let rid = percent::pairs(query)
        .find(|(key, _)| percent::decoded(key) == "$rid")
        .and_then(|(_, value)| value)
        .unwrap_or_default();
    (rid.len() <= RID_BYTES_MAX).then(|| rid.to_owned())
}

/// The query of a topic: `{prefix}/?{query}`, the slash perhaps left out.
fn query_behind<'t>(topic: &'t str, prefix: &str) -> Option<&'t str> {
    let rest = topic.strip_prefix(prefix)?;
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    match rest {
        "" => Some(""),
        rest => rest.strip_prefix('?'),
    }
}
