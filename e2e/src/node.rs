//! The Node service clients: each call goes to the SDK's own method of that name.

use crate::matrix::{Client, Notes, Purpose};
use crate::process::Conversation;
use crate::{Server, World};
use serde_json::{Value, json};

/// The program and the package of each client.
const PROVISIONING: (&str, &str) = ("service.js", "azure-iot-provisioning-service");
const REGISTRY: (&str, &str) = ("registry.js", "azure-iothub");

/// A running service client.
#[derive(Debug)]
pub struct NodeClient {
    program: Conversation,
    notes: Notes,
}

impl NodeClient {
    /// `azure-iot-provisioning-service`'s `ProvisioningServiceClient`.
    ///
    /// Beside its methods: `query`, with what (`individual`, `group`, `registration`), page size
    /// and, for registrations, the group; it answers all pages.
    pub fn provisioning_service(world: &World, server: &Server) -> Self {
        Self::start(world, server, PROVISIONING, server.dps().connection_string())
    }

    /// `azure-iothub`'s `Registry`, of one hub.
    pub fn registry(world: &World, server: &Server, hub: &str) -> Self {
        Self::start(world, server, REGISTRY, server.hub(hub).connection_string())
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
        Self { program: Conversation::start(command, program), notes }
    }

    /// Calls a method that must succeed; the result's own value.
    #[track_caller]
    pub fn call(&mut self, method: &str, arguments: &[Value]) -> Value {
        self.try_call(method, arguments).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Calls a method.
    ///
    /// # Errors
    ///
    /// The SDK's error: `{"type", "message", "status_code"}`.
    pub fn try_call(&mut self, method: &str, arguments: &[Value]) -> Result<Value, Value> {
        let request: Vec<Value> =
            std::iter::once(json!(method)).chain(arguments.iter().cloned()).collect();
        self.program.tell(&Value::from(request).to_string());
        let answer = self.program.hear();
        let seen = if answer.get("error").is_some() { "refused" } else { "done" };
        self.notes.saw(method, seen);
        answer.get("error").map_or_else(|| Ok(answer["ok"].clone()), |error| Err(error.clone()))
    }
}
