//! The Node service clients: each call goes to the SDK's own method of that name.

use crate::calls::Calls;
use crate::matrix::{Client, Notes, Purpose};
use crate::process::Conversation;
use crate::{Server, World};
use serde_json::{Value, json};

/// The program and the package of each client.
const PROVISIONING: (&str, &str) = ("service.js", "azure-iot-provisioning-service");
const REGISTRY: (&str, &str) = ("registry.js", "azure-iothub");

/// A running service client.
#[derive(Debug)]
pub struct NodeClient(Calls);

impl NodeClient {
    /// `azure-iot-provisioning-service`'s `ProvisioningServiceClient`.
    ///
    /// Beside its methods, with what (`individual`, `group`, `registration`): `query`, with page
    /// size and, for registrations, the group, answers all pages; `page`, with a continuation
    /// token before these, answers `{"page", "token"}`.
    pub fn provisioning_service(world: &World, server: &Server) -> Self {
        Self::start(world, server, PROVISIONING, server.dps().connection_string())
    }

    /// `azure-iothub`'s `Registry`, of one hub.
    ///
    /// Beside its methods: `query`, with a text and a page size, answers all pages; `page`, with
    /// a continuation token before these, answers `{"page", "token"}`.
    pub fn registry(world: &World, server: &Server, hub: &str) -> Self {
        Self::start(world, server, REGISTRY, server.hub(hub).connection_string())
    }

    /// The same client as [`NodeClient::provisioning_service`], with a token of an issuer's.
    pub fn provisioning_service_as(world: &World, server: &Server, token: &str) -> Self {
        Self::start_as(world, server, PROVISIONING, crate::DPS, token)
    }

    /// The same client as [`NodeClient::registry`], with a token of an issuer's.
    pub fn registry_as(world: &World, server: &Server, host: &str, token: &str) -> Self {
        Self::start_as(world, server, REGISTRY, host, token)
    }

    fn start_as(
        world: &World,
        server: &Server,
        (program, package): (&str, &str),
        host: &str,
        token: &str,
    ) -> Self {
        let mut command = world.node_program(program, &server.ca());
        command.env("HOST", host).env("TOKEN", token);
        let client = Client::node(package, "HTTPS", "bearer token");
        let notes = Notes::new(world, Purpose::Service, client);
        Self(Calls::new(Conversation::start(command, program), notes))
    }

    fn start(
        world: &World,
        server: &Server,
        (program, package): (&str, &str),
        connection_string: &str,
    ) -> Self {
        let mut command = world.node_program(program, &server.ca());
        command.env("CONNECTION_STRING", connection_string);
        let client = Client::node(package, "HTTPS", "shared access policy");
        let notes = Notes::new(world, Purpose::Service, client);
        Self(Calls::new(Conversation::start(command, program), notes))
    }

    /// Calls a method in its callback form, which must succeed; the result's own value.
    #[track_caller]
    pub fn call(&mut self, method: &str, arguments: &[Value]) -> Value {
        self.try_call(method, arguments).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// The same in the promise form.
    #[track_caller]
    pub fn promise(&mut self, method: &str, arguments: &[Value]) -> Value {
        self.try_promise(method, arguments).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Calls a method in its callback form.
    ///
    /// # Errors
    ///
    /// The SDK's error: `{"type", "message", "status_code"}`.
    pub fn try_call(&mut self, method: &str, arguments: &[Value]) -> Result<Value, Value> {
        self.0.ask(own_name(method, arguments), [&[json!(method)], arguments].concat())
    }

    /// Calls a method in its promise form.
    ///
    /// # Errors
    ///
    /// As [`NodeClient::try_call`].
    pub fn try_promise(&mut self, method: &str, arguments: &[Value]) -> Result<Value, Value> {
        self.0.ask(method, [&[json!("promise"), json!(method)], arguments].concat())
    }
}

/// The SDK's method behind a call; pages are read of what these make.
fn own_name<'a>(method: &'a str, arguments: &[Value]) -> &'a str {
    match (method, arguments.first().and_then(Value::as_str)) {
        ("query" | "page", Some("individual")) => "createIndividualEnrollmentQuery",
        ("query" | "page", Some("group")) => "createEnrollmentGroupQuery",
        ("query" | "page", Some("registration")) => {
            "createEnrollmentGroupDeviceRegistrationStateQuery"
        }
        ("query" | "page", _) => "createQuery",
        (own, _) => own,
    }
}
