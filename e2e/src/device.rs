//! Devices: the SDK programs that register and connect.

use crate::matrix::{Client, Notes, Purpose};
use crate::process::Conversation;
use crate::{DPS, DeviceCertificate, Server, Tpm, World};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// An unmodified SDK with the transport it is to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sdk {
    PythonMqtt,
    PythonMqttWs,
    NodeMqtt,
    NodeMqttWs,
    NodeHttp,
}

impl Sdk {
    /// Every way to register.
    pub const PROVISIONING: [Self; 5] =
        [Self::PythonMqtt, Self::PythonMqttWs, Self::NodeMqtt, Self::NodeMqttWs, Self::NodeHttp];
    /// Every way to connect to a hub.
    pub const HUB: [Self; 4] =
        [Self::PythonMqtt, Self::PythonMqttWs, Self::NodeMqtt, Self::NodeMqttWs];

    /// Its program for a purpose, `provision` or `hub_device`.
    fn program(self, world: &World, ca: &Path, purpose: &str) -> Command {
        let transport = match self {
            Self::PythonMqtt | Self::PythonMqttWs => {
                let mut command = world.python_program(&format!("{purpose}.py"), ca);
                command.arg("--ca").arg(ca);
                if self == Self::PythonMqttWs {
                    command.arg("--ws");
                }
                return command;
            }
            Self::NodeMqtt => "mqtt",
            Self::NodeMqttWs => "mqtt-ws",
            Self::NodeHttp => "http",
        };
        let mut command = world.node_program(&format!("{purpose}.js"), ca);
        command.args(["--transport", transport]);
        command
    }
}

/// Who is seen in the matrix.
fn client(sdk: Sdk, purpose: Purpose, credential: Credential<'_>) -> Client {
    let credential = match credential {
        Credential::Key(_) => "symmetric key",
        Credential::Certificate(_) => "X.509",
        Credential::Tpm(_) => "TPM",
    };
    let transport = match sdk {
        Sdk::PythonMqtt | Sdk::NodeMqtt => "MQTT",
        Sdk::PythonMqttWs | Sdk::NodeMqttWs => "MQTT over WebSocket",
        Sdk::NodeHttp => "HTTPS",
    };
    let package = match (sdk, purpose) {
        (Sdk::PythonMqtt | Sdk::PythonMqttWs, _) => {
            return Client::python("azure-iot-device", transport, credential);
        }
        (Sdk::NodeHttp, _) => "azure-iot-provisioning-device-http",
        (_, Purpose::Register) => "azure-iot-provisioning-device-mqtt",
        (_, _) => "azure-iot-device-mqtt",
    };
    Client::node(package, transport, credential)
}

/// What a device proves itself with.
#[derive(Debug, Clone, Copy)]
pub enum Credential<'a> {
    /// A symmetric key, base64; for a group's device the derived one.
    Key(&'a str),
    Certificate(&'a DeviceCertificate),
    /// A TPM; over HTTPS to register, and with Node alone.
    Tpm(&'a Tpm),
}

impl Credential<'_> {
    pub(crate) fn give(self, command: &mut Command) {
        match self {
            Self::Key(key) => command.args(["--key", key]),
            Self::Certificate(certificate) => command
                .arg("--cert")
                .arg(&certificate.chain)
                .arg("--key-file")
                .arg(&certificate.key),
            Self::Tpm(tpm) => {
                command.current_dir(tpm.directory()).args(["--tpm", Tpm::SOCKET]);
                let shown = tpm.certificates().iter();
                command.args(shown.flat_map(|file| ["--endorsement-certificate", file]))
            }
        };
    }
}

/// Registers devices with one server's provisioning service.
#[derive(Debug)]
pub struct Provisioning<'a> {
    world: &'a World,
    ca: PathBuf,
    host: &'a str,
    id_scope: String,
}

impl<'a> Provisioning<'a> {
    pub fn new(world: &'a World, server: &Server) -> Self {
        Self { world, ca: server.ca(), host: DPS, id_scope: server.id_scope() }
    }

    /// The same, by another name of the service's host.
    pub fn by(self, host: &'a str) -> Self {
        Self { host, ..self }
    }

    /// The same for devices that believe this CA alone.
    pub fn believing(self, ca: &Path) -> Self {
        Self { ca: ca.to_owned(), ..self }
    }

    /// Registers once, by the SDK's whole sequence of calls.
    pub fn register(&self, sdk: Sdk, id: &str, credential: Credential<'_>) -> Outcome {
        self.run(sdk, id, credential, None)
    }

    /// Registers once, sending a payload along.
    pub fn register_with(
        &self,
        sdk: Sdk,
        id: &str,
        credential: Credential<'_>,
        payload: &Value,
    ) -> Outcome {
        self.run(sdk, id, credential, Some(payload))
    }

    fn run(
        &self,
        sdk: Sdk,
        id: &str,
        credential: Credential<'_>,
        payload: Option<&Value>,
    ) -> Outcome {
        let mut command = sdk.program(self.world, &self.ca, "provision");
        command.args(["--host", self.host, "--id-scope", &self.id_scope, "--registration-id", id]);
        if let Some(payload) = payload {
            command.arg("--payload").arg(payload.to_string());
        }
        credential.give(&mut command);
        let answer = Conversation::start(command, format!("{sdk:?} {id}")).hear();
        let outcome = Outcome { sdk, answer };
        let is_as_published = match credential {
            Credential::Tpm(tpm) => tpm.certificates().is_empty(),
            Credential::Key(_) | Credential::Certificate(_) => true,
        };
        if is_as_published {
            let client = client(sdk, Purpose::Register, credential);
            Notes::new(self.world, Purpose::Register, client).saw("", outcome.seen());
        }
        outcome
    }
}

/// How a registration ended, as the device's program saw it.
#[derive(Debug, Clone)]
pub struct Outcome {
    sdk: Sdk,
    /// What the program printed.
    pub answer: Value,
}

impl Outcome {
    /// The device has an identity of this id in this hub.
    #[track_caller]
    pub fn assert_assigned(&self, hub: &str, device_id: &str) {
        assert_eq!(self.text("outcome"), "assigned", "{self:?}");
        assert_eq!(self.text("assigned_hub"), hub, "{self:?}");
        assert_eq!(self.text("device_id"), device_id, "{self:?}");
    }

    /// A normal answer whose status is `disabled`, with no hub and no device id.
    #[track_caller]
    pub fn assert_disabled(&self) {
        assert_eq!(self.text("outcome"), "error", "{self:?}");
        let expected = match self.sdk {
            Sdk::PythonMqtt | Sdk::PythonMqttWs => "invalid registration status disabled",
            Sdk::NodeMqtt | Sdk::NodeMqttWs | Sdk::NodeHttp => "status is disabled",
        };
        assert!(self.text("message").contains(expected), "{self:?}");
        let state = &self.answer["result"]["registrationState"];
        assert_eq!(state["assignedHub"].as_str().unwrap_or_default(), "", "{self:?}");
        assert_eq!(state["deviceId"].as_str().unwrap_or_default(), "", "{self:?}");
    }

    /// The service doesn't know the device, or doesn't believe it: 401.
    #[track_caller]
    pub fn assert_unauthorized(&self) {
        assert_eq!(self.text("outcome"), "error", "{self:?}");
        match self.sdk {
            Sdk::PythonMqtt | Sdk::PythonMqttWs => {
                assert!(self.text("message").contains("error status code 401"), "{self:?}");
            }
            Sdk::NodeMqtt | Sdk::NodeMqttWs | Sdk::NodeHttp => {
                assert_eq!(self.text("type"), "UnauthorizedError", "{self:?}");
            }
        }
    }

    /// The service has no enrollment of this TPM's; the SDK takes any answer but 401 for a broken
    /// service.
    #[track_caller]
    pub fn assert_unchallenged(&self) {
        assert_eq!(self.text("outcome"), "error", "{self:?}");
        assert_eq!(self.text("type"), "InvalidOperationError", "{self:?}");
        assert!(self.text("message").contains("unauthorized error"), "{self:?}");
    }

    /// How the client told it, in the matrix's words.
    fn seen(&self) -> &'static str {
        let told = |word| self.text("message").contains(word);
        if self.text("outcome") == "assigned" {
            "assigned"
        } else if told("status is disabled") || told("status disabled") {
            "disabled"
        } else if told("error status code 401") || self.text("type") == "UnauthorizedError" {
            "unauthorized"
        } else {
            "failed"
        }
    }

    fn text(&self, member: &str) -> &str {
        self.answer[member].as_str().unwrap_or_default()
    }
}

/// A device at its hub, connected until dropped, refused or disconnected.
#[derive(Debug)]
pub struct HubDevice {
    program: Conversation,
    notes: Notes,
}

impl HubDevice {
    /// Starts a device that doesn't connect again by itself; [`HubDevice::ready`] comes next.
    pub fn start(
        world: &World,
        server: &Server,
        sdk: Sdk,
        hub: &str,
        device_id: &str,
        credential: Credential<'_>,
    ) -> Self {
        Self::run(world, server, sdk, (hub, device_id), credential, &[])
    }

    /// Starts a device whose SDK connects again by itself.
    pub fn start_reconnecting(
        world: &World,
        server: &Server,
        sdk: Sdk,
        hub: &str,
        device_id: &str,
        credential: Credential<'_>,
    ) -> Self {
        Self::run(world, server, sdk, (hub, device_id), credential, &["--reconnect"])
    }

    fn run(
        world: &World,
        server: &Server,
        sdk: Sdk,
        (hub, device_id): (&str, &str),
        credential: Credential<'_>,
        options: &[&str],
    ) -> Self {
        let mut command = sdk.program(world, &server.ca(), "hub_device");
        command.args(["--host", hub, "--device-id", device_id]).args(options);
        credential.give(&mut command);
        let program = Conversation::start(command, format!("{sdk:?} {device_id} at {hub}"));
        let notes = Notes::new(world, Purpose::Hub, client(sdk, Purpose::Hub, credential));
        Self { program, notes }
    }

    /// Waits until it is connected.
    #[track_caller]
    pub fn ready(&self) {
        self.until("ready");
    }

    /// Waits until it is refused, and tells the SDK's reason.
    #[track_caller]
    pub fn refused(&self) -> String {
        self.until("refused")["message"].as_str().unwrap_or_default().to_owned()
    }

    /// Its twin: `{"desired", "reported"}`.
    #[track_caller]
    pub fn twin(&mut self) -> Value {
        self.program.tell("twin");
        self.until("twin")["twin"].clone()
    }

    /// Sends one telemetry message, and waits until the hub has taken it.
    #[track_caller]
    pub fn send(&mut self, body: &Value) {
        self.program.tell(&format!("send {body}"));
        self.until("sent");
    }

    /// Patches its reported properties.
    #[track_caller]
    pub fn report(&mut self, patch: &Value) {
        self.program.tell(&format!("report {patch}"));
        self.until("reported");
    }

    /// Waits until the connection is gone.
    #[track_caller]
    pub fn assert_disconnected_within(&mut self, limit: Duration) {
        self.program.tell(&format!("wait-disconnect {}", limit.as_secs_f64()));
        self.until("disconnected");
    }

    /// The next event that isn't about the connection's coming and going.
    #[track_caller]
    fn until(&self, event: &str) -> Value {
        loop {
            let heard = self.program.hear();
            match heard["event"].as_str() {
                Some("connection" | "background") => {}
                Some(name) if name == event => {
                    self.notes.saw("", seen(name));
                    return heard;
                }
                _ => panic!("expected {event}, heard {heard}"),
            }
        }
    }
}

/// A device's event in the matrix's words.
fn seen(event: &str) -> &str {
    match event {
        "ready" => "signs in",
        "refused" => "is refused",
        "twin" => "reads its twin",
        "sent" => "sends telemetry",
        "reported" => "reports properties",
        "disconnected" => "is signed out",
        other => other,
    }
}
