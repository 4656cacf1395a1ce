//! What a person needs next, printed when the server listens.

use std::fmt::{Arguments, Write as _};
use std::path::Path;

use attestation::access::Policy;
use model::HostName;
use service::Directory;

use crate::bootstrap::Start;
use crate::home::Lifetime;
use crate::listen::{Because, Bound, Missed};
use crate::pki::Origin;

/// Whether policies' keys are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    /// To who sits there, or of a server that is gone tomorrow.
    Shown,
    /// What is not a terminal may be a journal that more people read than may have the keys.
    Hidden,
}

/// What a banner tells of.
pub(crate) struct Told<'s> {
    pub(crate) start: Start,
    pub(crate) lifetime: Lifetime,
    pub(crate) keys: Keys,
    pub(crate) directory: &'s Directory,
    pub(crate) data_dir: &'s Path,
    pub(crate) ca: &'s Path,
    pub(crate) ca_is: Origin,
    pub(crate) certificates: &'s [String],
    pub(crate) bound: &'s Bound,
}

/// The text for the terminal.
pub(crate) fn banner(told: &Told<'_>) -> String {
    let Told { start, lifetime, keys, directory, data_dir, ca, ca_is, certificates, bound } = told;
    let mut text = String::new();
    let made = match start {
        Start::First => "made",
        Start::Fixture => "made from the fixture",
        Start::Again => "found",
    };
    let kept = match lifetime {
        Lifetime::Kept => "",
        Lifetime::Ephemeral => "; in memory, but for admin.json and ca.pem",
    };
    // Writing to a String does not fail.
    let mut line = |part: Arguments<'_>| {
        let _ = writeln!(text, "{part}");
    };
    line(format_args!(
        "Muster is listening: HTTPS and WebSockets on {}, MQTT on {}.",
        bound.https_port, bound.mqtt_port
    ));
    line(format_args!(""));
    line(format_args!("  Data            {} ({made}{kept})", data_dir.display()));
    line(format_args!("  CA certificate  {}", ca.display()));
    if (start, ca_is) == (&Start::Again, &Origin::Made) {
        line(format_args!(
            "                  is new: the data was found without a CA. What trusts the one before"
        ));
        line(format_args!(
            "                  does not trust this server: put its pki/ back, or hand out the new one"
        ));
    }
    for own in *certificates {
        line(format_args!("  Certificate     {own}"));
    }
    for dps in &directory.dps {
        line(format_args!("  DPS             {}  ID scope {}", dps.host, dps.id_scope));
        for policy in &dps.policies {
            strings(*keys, &dps.host, policy, &mut line);
        }
    }
    for hub in &directory.hubs {
        line(format_args!("  Hub             {}", hub.host));
        for policy in hub.policies.iter().take(1) {
            strings(*keys, &hub.host, policy, &mut line);
        }
    }
    if *keys == Keys::Hidden {
        line(format_args!(""));
        line(format_args!("Keys are shown on the server's machine, to the user that runs it, by"));
        let dir = data_dir.display();
        if let Some(dps) = directory.dps.first() {
            line(format_args!(
                "  muster iot dps connection-string show --dps-name {} --data-dir {dir}",
                dps.name
            ));
        }
        if let Some(hub) = directory.hubs.first() {
            line(format_args!(
                "  muster iot hub connection-string show --hub-name {} --data-dir {dir}",
                hub.name
            ));
        }
    }
    let services = directory.dps.iter().map(|dps| &dps.host);
    let hosts: Vec<&str> =
        services.chain(directory.hubs.iter().map(|hub| &hub.host)).map(|h| h.as_str()).collect();
    line(format_args!(""));
    line(format_args!("Devices find these names when /etc/hosts has the line"));
    line(format_args!("  127.0.0.1 {} muster.localhost", hosts.join(" ")));
    missed(&bound.missed, &mut line);
    line(format_args!(""));
    line(format_args!("Try, in another terminal:"));
    if let Some(dps) = directory.dps.first() {
        line(format_args!(
            "  muster iot dps enrollment create --dps-name {} --enrollment-id dev-1 \
             --attestation-type symmetricKey",
            dps.name
        ));
    }
    text
}

/// A policy's connection string, where it is told.
fn strings<R>(
    keys: Keys,
    host: &HostName,
    policy: &Policy<R>,
    line: &mut impl FnMut(Arguments<'_>),
) {
    match keys {
        Keys::Shown => line(format_args!(
            "                  HostName={host};SharedAccessKeyName={};SharedAccessKey={}",
            policy.name,
            policy.primary.to_base64()
        )),
        Keys::Hidden => {}
    }
}

/// What to do about the ports that SDKs want and that are not had.
fn missed(missed: &[Missed], line: &mut impl FnMut(Arguments<'_>)) {
    for Missed { port, because } in missed {
        line(format_args!(""));
        line(format_args!(
            "Azure SDKs have port {port} built in and can not be told another; it is not had here:"
        ));
        match because {
            Because::Taken => {
                line(format_args!("another program listens on it. This names it, to be stopped:"));
                line(format_args!("  sudo ss -ltnp 'sport = :{port}'"));
            }
            Because::Forbidden => {
                line(format_args!("this user may not listen on it. To grant it:"));
                line(format_args!(
                    "  sudo setcap cap_net_bind_service=+ep $(readlink -f target/release/muster)"
                ));
                line(format_args!("  or: sudo sysctl net.ipv4.ip_unprivileged_port_start={port}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_not_called_forbidden() {
        let told = |because| {
            let mut text = String::new();
            missed(&[Missed { port: 8883, because }], &mut |part| {
                writeln!(text, "{part}").unwrap()
            });
            text
        };
        let (taken, forbidden) = (told(Because::Taken), told(Because::Forbidden));
        assert!(taken.contains("sport = :8883") && !taken.contains("setcap"), "{taken}");
        assert!(forbidden.contains("setcap") && !forbidden.contains("sport"), "{forbidden}");
    }
}
