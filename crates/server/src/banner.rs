//! What a person needs next, printed when the server listens.

use std::fmt::Write as _;
use std::path::Path;

use service::Directory;

use crate::bootstrap::Start;
use crate::home::Lifetime;
use crate::listen::{Bound, Ports};

/// The text for the terminal.
pub(crate) fn banner(
    start: Start,
    lifetime: Lifetime,
    directory: &Directory,
    data_dir: &Path,
    ca: &Path,
    certificates: &[String],
    bound: &Bound,
) -> String {
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
    let mut line = |part: std::fmt::Arguments<'_>| {
        let _ = writeln!(text, "{part}");
    };
    line(format_args!(
        "Muster is listening: HTTPS and WebSockets on {}, MQTT on {}.",
        bound.https_port, bound.mqtt_port
    ));
    line(format_args!(""));
    line(format_args!("  Data            {} ({made}{kept})", data_dir.display()));
    line(format_args!("  CA certificate  {}", ca.display()));
    for own in certificates {
        line(format_args!("  Certificate     {own}"));
    }
    for dps in &directory.dps {
        line(format_args!("  DPS             {}  ID scope {}", dps.host, dps.id_scope));
        for policy in &dps.policies {
            line(format_args!(
                "                  HostName={};SharedAccessKeyName={};SharedAccessKey={}",
                dps.host,
                policy.name,
                policy.primary.to_base64()
            ));
        }
    }
    for hub in &directory.hubs {
        line(format_args!("  Hub             {}", hub.host));
        for policy in hub.policies.iter().take(1) {
            line(format_args!(
                "                  HostName={};SharedAccessKeyName={};SharedAccessKey={}",
                hub.host,
                policy.name,
                policy.primary.to_base64()
            ));
        }
    }
    let services = directory.dps.iter().map(|dps| &dps.host);
    let hosts: Vec<&str> =
        services.chain(directory.hubs.iter().map(|hub| &hub.host)).map(|h| h.as_str()).collect();
    line(format_args!(""));
    line(format_args!("Devices find these names when /etc/hosts has the line"));
    line(format_args!("  127.0.0.1 {} muster.localhost", hosts.join(" ")));
    if bound.ports == Ports::Fallback {
        line(format_args!(""));
        line(format_args!(
            "The ports 443 and 8883 are not free for this user, so the fallback ports are used."
        ));
        line(format_args!(
            "Azure SDKs have 443 and 8883 built in and can not be told others. To grant them:"
        ));
        line(format_args!(
            "  sudo setcap cap_net_bind_service=+ep $(readlink -f target/release/muster)"
        ));
        line(format_args!("  or: sudo sysctl net.ipv4.ip_unprivileged_port_start=443"));
    }
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
