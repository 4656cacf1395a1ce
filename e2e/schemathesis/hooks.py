"""Signs what Schemathesis asks, and turns some of its texts into ones that the server knows.

Texts that are made up are as good as never a key, a certificate, or an id that is there already:
what lies behind those checks would not be asked for anything.
"""

import base64
import hashlib
import hmac
import os
import time
import urllib.parse

import schemathesis
from schemathesis import GenerationMode
from schemathesis.core import NotSet
from schemathesis.core.parameters import ParameterLocation

OPERATOR_TOKEN = os.environ["OPERATOR_TOKEN"]
# What the rest of the test needs as it is.
KEPT = set(os.environ["KEPT"].split())
# Of a provisioning service, with a group that every registration id is of.
ID_SCOPE = os.environ.get("ID_SCOPE")
GROUP_KEY = os.environ.get("GROUP_KEY")
CERTIFICATES = os.environ["CERTIFICATES"].split(";")

IDS = ("registrationId", "enrollmentGroupId", "deviceId", "name", "certificate", "id")
KEY = bytes(32)
KEY_TEXT = base64.b64encode(KEY).decode()
KNOWN = {
    "attestation": [{"type": "symmetricKey"}]
    + [
        {"type": "x509", "x509": {kind: {"primary": {"certificate": certificate}}}}
        for kind in ("clientCertificates", "signingCertificates")
        for certificate in CERTIFICATES
    ],
    "certificate": CERTIFICATES,
    "primaryKey": [KEY_TEXT],
    "secondaryKey": [KEY_TEXT],
    "endorsementKey": [KEY_TEXT],
    "primaryThumbprint": ["0" * 40, "F" * 64],
    "secondaryThumbprint": ["0" * 40, "F" * 64],
    "iotHubHostName": ["hub1.localhost"],
    "iotHubs": [["hub1.localhost"], ["hub1.localhost", "hub2.localhost"]],
    "webhookUrl": ["https://localhost/"],
    "apiVersion": ["2021-10-01"],
    "deviceScope": ["ms-azure-iot-edge://edge-1"],
    "query": ["SELECT * FROM devices"],
    "etag": ["*"],
}
# Members that are refused unless they fit the others.
DEMANDING = ("iotHubs", "iotHubHostName", "allocationPolicy", "customAllocationDefinition")


def number(value):
    """The same for the same value."""
    return int.from_bytes(hashlib.sha256(repr(value).encode()).digest()[:4])


def known(value, path):
    """A value with some of its members replaced; ids are those of the path."""
    if isinstance(value, list):
        return [known(item, path) for item in value]
    if not isinstance(value, dict):
        return value
    changed = {}
    for name, member in value.items():
        made_up = number((name, member))
        if name in DEMANDING and number(value) % 2:
            continue
        if name in path and name.endswith("Id") and isinstance(member, str):
            changed[name] = path[name]
        elif name in KNOWN and member is not None and made_up % 3:
            changed[name] = KNOWN[name][made_up % len(KNOWN[name])]
        else:
            changed[name] = known(member, path)
    return changed


def token(resource, key, policy):
    resource = urllib.parse.quote(resource, safe="")
    expires = int(time.time()) + 3600
    signed = hmac.digest(key, f"{resource}\n{expires}".encode(), hashlib.sha256)
    signature = urllib.parse.quote(base64.b64encode(signed), safe="")
    return f"SharedAccessSignature sr={resource}&sig={signature}&se={expires}{policy}"


def device_token(template, path):
    """None for what an operator asks."""
    if template.startswith("/{idScope}/"):
        registration_id = str(path["registrationId"])
        message = registration_id.lower().encode()
        key = hmac.digest(base64.b64decode(GROUP_KEY), message, hashlib.sha256)
        resource = f"{ID_SCOPE}/registrations/{registration_id}"
        return token(resource, key, "&skn=registration")
    if template.endswith("/messages/events"):
        return token(f"hub1.localhost/devices/{path['deviceId']}", KEY, "")
    return None


@schemathesis.auth(cache_by_key=lambda case, context: case.id)
class Signed:
    def get(self, case, context):
        return OPERATOR_TOKEN

    def set(self, case, token, context):
        case.headers["Authorization"] = token


@schemathesis.hook
def filter_case(context, case):
    # What is no field value at all is answered before there is a request, by a status alone.
    if any(ord(c) < 0x20 or ord(c) == 0x7F for value in case.headers.values() for c in str(value)):
        return False
    # No body is as good as one where it is optional.
    meta, wanted = case.meta, case.operation.definition.raw.get("requestBody", {})
    if meta is None or not isinstance(case.body, NotSet) or wanted.get("required"):
        return True
    wrong = [at for at, part in meta.components.items() if part.mode is GenerationMode.NEGATIVE]
    return wrong != [ParameterLocation.BODY]


@schemathesis.hook
def before_call(context, case, kwargs):
    path = case.path_parameters
    if case.meta is None or case.meta.generation.mode is GenerationMode.POSITIVE:
        for name in IDS:
            if name in path and number(path[name]) % 4:
                path[name] = f"{name}-{number(path[name]) % 3}"
        if "hub" in path and number(path["hub"]) % 2:
            path["hub"] = "hub2"
        if "idScope" in path and number(path["idScope"]) % 4:
            path["idScope"] = ID_SCOPE
        if case.body:
            case.body = known(case.body, path)
    if case.method.upper() != "GET":
        for name, value in path.items():
            if str(value).lower() in KEPT:
                path[name] = "another"
    if case.headers.get("Authorization") == OPERATOR_TOKEN:
        signed = device_token(case.operation.path, path)
        case.headers["Authorization"] = signed or OPERATOR_TOKEN
