//! The Python service clients: each call goes to the SDK's own method of that name.

use crate::calls::Calls;
use crate::matrix::{Client, Notes, Purpose};
use crate::process::Conversation;
use crate::{Server, World};
use serde_json::{Value, json};

/// A running service client.
#[derive(Debug)]
pub struct PythonClient(Calls);

impl PythonClient {
    /// `azure-iot-hub`'s `IoTHubRegistryManager`, of one hub, over HTTP.
    pub fn registry(world: &World, server: &Server, hub: &str) -> Self {
        let hub = server.hub(hub);
        Self::start(world, server, ("Registry", "azure-iot-hub"), hub.connection_string())
    }

    /// `azure-iot-deviceprovisioning`'s `DeviceProvisioningClient`: its methods are named after
    /// their group of operations, as `enrollment.get`, and what a method takes by name is in a
    /// last argument `{"options": {…}}`.
    pub fn provisioning(world: &World, server: &Server) -> Self {
        let package = ("Provisioning", "azure-iot-deviceprovisioning");
        Self::start(world, server, package, server.dps().connection_string())
    }

    /// `azure-iothub-provisioningserviceclient`'s `ProvisioningServiceClient`, the elder one.
    pub fn enrollments(world: &World, server: &Server) -> Self {
        let package = ("Enrollments", "azure-iothub-provisioningserviceclient");
        Self::start(world, server, package, server.dps().connection_string())
    }

    fn start(
        world: &World,
        server: &Server,
        (kind, package): (&str, &str),
        connection_string: &str,
    ) -> Self {
        let mut command = world.python_program("service.py", &server.ca());
        command.arg(kind).env("CONNECTION_STRING", connection_string);
        let client = Client::python(package, "HTTPS", "shared access policy");
        let notes = Notes::new(world, Purpose::Service, client);
        Self(Calls::new(Conversation::start(command, package), notes))
    }

    /// Calls a method, which must succeed.
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
        self.0.ask(method, [&[json!(method)], arguments].concat())
    }

    /// Every page of a query, by the method that begins it.
    #[track_caller]
    pub fn pages(&mut self, method: &str, arguments: &[Value]) -> Vec<Vec<Value>> {
        let request = [&[json!("pages"), json!(method)], arguments].concat();
        let pages = self.0.ask(method, request).unwrap_or_else(|error| panic!("{method}: {error}"));
        let page = |page: &Value| page.as_array().unwrap().clone();
        pages.as_array().unwrap().iter().map(page).collect()
    }
}
