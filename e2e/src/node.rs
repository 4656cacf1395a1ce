//! The Node service clients: each call goes to the SDK's own method of that name.

use crate::process::Conversation;
use crate::{Server, World};
use serde_json::{Value, json};

/// A running service client.
#[derive(Debug)]
pub struct NodeClient(Conversation);

impl NodeClient {
    /// `azure-iot-provisioning-service`'s `ProvisioningServiceClient`.
    ///
    /// Beside its methods: `query`, with what (`individual`, `group`, `registration`), page size
    /// and, for registrations, the group; it answers all pages.
    pub fn provisioning_service(world: &World, server: &Server) -> Self {
        Self::start(world, server, "service.js", server.dps().connection_string())
    }

    /// `azure-iothub`'s `Registry`, of one hub.
    pub fn registry(world: &World, server: &Server, hub: &str) -> Self {
        Self::start(world, server, "registry.js", server.hub(hub).connection_string())
    }

    fn start(world: &World, server: &Server, program: &str, connection_string: &str) -> Self {
        let mut command = world.node_program(program, &server.ca());
        command.env("CONNECTION_STRING", connection_string);
        Self(Conversation::start(command, program))
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
        self.0.tell(&Value::from(request).to_string());
        let answer = self.0.hear();
        answer.get("error").map_or_else(|| Ok(answer["ok"].clone()), |error| Err(error.clone()))
    }
}
