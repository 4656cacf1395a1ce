"""Drives one service client of CONNECTION_STRING's host, named by the only argument.

A JSON array a line on standard input, [method, argument…], answered by one JSON line: {"ok": result}
or {"error": {"type", "message", "status_code"}}. Methods are the client's own, and models go both
ways as the JSON that they stand for. Beside them ["pages", method, argument…] reads every page of
a query: {"ok": [page, …]}.
"""

import json
import os
import sys


class Registry:
    """`IoTHubRegistryManager` of azure-iot-hub, over HTTP."""

    def __init__(self, connection_string):
        from azure.iot.hub import IoTHubRegistryManager, models

        self.client = IoTHubRegistryManager.from_connection_string(connection_string)
        self.models = {
            "bulk_create_or_update_devices": models.ExportImportDevice,
            "invoke_device_method": models.CloudToDeviceMethod,
            "invoke_device_module_method": models.CloudToDeviceMethod,
            "query_iot_hub": models.QuerySpecification,
            "replace_twin": models.Twin,
            "update_twin": models.Twin,
        }

    def call(self, method, *arguments):
        kind = self.models.get(method)
        return getattr(self.client, method)(*(model(kind, value) for value in arguments))

    def pages(self, method, text, size):
        page = None
        while page is None or page.continuation_token:
            token = page and page.continuation_token
            page = self.call(method, {"query": text}, token, size)
            yield page.items


class Provisioning:
    """`DeviceProvisioningClient` of azure-iot-deviceprovisioning; methods as `enrollment.get`.

    A last argument `{"options": {…}}` holds what the method takes by name.
    """

    def __init__(self, connection_string):
        from azure.iot.deviceprovisioning import DeviceProvisioningClient

        self.client = DeviceProvisioningClient.from_connection_string(connection_string)

    def call(self, method, *arguments):
        operations, name = method.split(".")
        options = {}
        if arguments and isinstance(arguments[-1], dict) and "options" in arguments[-1]:
            *arguments, last = arguments
            options = last["options"]
        return getattr(getattr(self.client, operations), name)(*arguments, **options)

    def pages(self, method, *arguments):
        return (list(page) for page in self.call(method, *arguments).by_page())


class Enrollments:
    """`ProvisioningServiceClient` of azure-iothub-provisioningserviceclient."""

    def __init__(self, connection_string):
        import provisioningserviceclient
        from provisioningserviceclient import models

        client = provisioningserviceclient.ProvisioningServiceClient
        self.client = client.create_from_connection_string(connection_string)
        self.models = models

    def call(self, method, *arguments):
        return getattr(self.client, method)(*(self.model(value) for value in arguments))

    def model(self, value):
        """The model that an object's members tell."""
        if not isinstance(value, dict):
            return value
        if "mode" in value:
            items = [self.model(item) for item in value["enrollments"]]
            return self.models.BulkEnrollmentOperation(value["mode"], items)
        if "status" in value:
            return self.models.DeviceRegistrationState.deserialize(value)
        group = "enrollmentGroupId" in value
        kind = self.models.EnrollmentGroup if group else self.models.IndividualEnrollment
        made = kind.deserialize(value)
        if made.initial_twin:
            made.initial_twin = made.initial_twin._wrap()
        return made

    def pages(self, method, text, size):
        query = getattr(self.client, method)(self.models.QuerySpecification(text), size)
        while query.has_next:
            try:
                yield query.next()
            except StopIteration:  # The client's word for an empty page.
                break


def model(kind, value):
    if kind and isinstance(value, list):
        return [kind.deserialize(item) for item in value]
    return kind.deserialize(value) if kind and isinstance(value, dict) else value


def plain(value):
    """What a client answered, as JSON has it."""
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "serialize"):
        if hasattr(getattr(value, "initial_twin", None), "_unwrap"):
            value.initial_twin = value.initial_twin._unwrap()
        return value.serialize(keep_readonly=True)
    if hasattr(value, "continuation_token"):
        return {name: plain(member) for name, member in vars(value).items()}
    return value


def failure(error):
    response = getattr(getattr(error, "cause", None) or error, "response", None)
    text = getattr(response, "text", None)
    return {
        "type": type(error).__name__,
        "message": f"{error} <- {text() if callable(text) else text}",
        "status_code": getattr(response, "status_code", None),
    }


def main():
    kinds = {kind.__name__: kind for kind in (Registry, Provisioning, Enrollments)}
    client = kinds[sys.argv[1]](os.environ["CONNECTION_STRING"])
    for line in sys.stdin:
        method, *arguments = json.loads(line)
        try:
            if method == "pages":
                answer = {"ok": [plain(page) for page in client.pages(*arguments)]}
            else:
                answer = {"ok": plain(client.call(method, *arguments))}
        except Exception as error:  # Whatever the client raises is the answer.
            answer = {"error": failure(error)}
        print(json.dumps(answer), flush=True)


main()
