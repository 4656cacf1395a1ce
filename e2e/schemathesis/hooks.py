"""Signs what Schemathesis asks, and turns some of its texts into ones that the server knows.

Texts that are made up are as good as never a key, a certificate, or an id that is there already:
what lies behind those checks would not be asked for anything.
"""

import base64
import hashlib
import hmac
import json
import os
import time
import urllib.parse

import schemathesis
from schemathesis import GenerationMode

OPERATOR_TOKEN = os.environ["OPERATOR_TOKEN"]
# What the rest of the test needs as it is.
KEPT = set(os.environ["KEPT"].split())
# Of a provisioning service, with a group that every registration id is of.
ID_SCOPE = os.environ.get("ID_SCOPE")
GROUP_KEY = os.environ.get("GROUP_KEY")
CERTIFICATES = os.environ["CERTIFICATES"].split(";")

# Few, so that what one case makes is there for the next.
IDS = {
    "registrationId": ["device-0", "device-1", "entry-0", "entry-1", "witness"],
    "enrollmentGroupId": ["group-0", "group-1", "fleet"],
    "deviceId": ["device-0", "device-1", "witness"],
    "name": ["name-0", "hub2", "dps"],
    "hub": ["hub2", "name-0.localhost"],
    "certificate": ["certificate-0", "certificate-1"],
    "policy": ["policy-0", "policy-1"],
    "subscription": ["subscription-0", "subscription-1"],
    "id": ["device-0", "witness"],
}
KEY = bytes(32)
KEY_TEXT = base64.b64encode(KEY).decode()
KNOWN = {
    "authentication": [
        {"type": "sas", "symmetricKey": {"primaryKey": KEY_TEXT, "secondaryKey": KEY_TEXT}}
    ],
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
    "endpointUrl": ["https://localhost/"],
    "validation": ["none"],
    "apiVersion": ["2021-10-01"],
    # Rules that shut out nobody here.
    "ipFilterRules": [
        [],
        [{"filterName": "no", "action": "Reject", "ipMask": "203.0.113.0/24"}],
        [{"filterName": "all", "action": "Accept", "ipMask": "0.0.0.0/0", "target": "deviceApi"}],
    ],
    "deviceScope": ["ms-azure-iot-edge://edge-1"],
    "query": ["SELECT * FROM devices"],
    "etag": ["*"],
    "id": ["device-0", "device-1"],
}
# Of a load.
LINES = [
    {"registrationId": "line-0", "attestation": {"type": "symmetricKey"}},
    {"registrationId": "line-1", "attestation": KNOWN["attestation"][1]},
    {"registrationId": "line-2"},
]
# What was answered to devices that registered: registration id and operation id.
OPERATIONS = []
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


@schemathesis.serializer("application/x-ndjson")
def json_lines(context, value):
    return str(value).encode(errors="replace")


@schemathesis.auth(cache_by_key=lambda case, context: case.id)
class Signed:
    def get(self, case, context):
        return OPERATOR_TOKEN

    def set(self, case, token, context):
        case.headers["Authorization"] = token


@schemathesis.hook
def filter_case(context, case):
    # What is no field value at all is answered before there is a request, by a status alone.
    texts = map(str, case.headers.values())
    return not any(ord(c) < 0x20 or ord(c) == 0x7F for text in texts for c in text)


def like_others(case, path):
    """Most of the ids that a good case has, and members of its body, become such as there are."""
    for name in path:
        made_up = number((name, path[name]))
        if name in IDS and made_up % 4:
            path[name] = IDS[name][made_up % len(IDS[name])]
        elif name == "idScope" and made_up % 4:
            path[name] = ID_SCOPE
        elif name == "operationId" and OPERATIONS and made_up % 4:
            path["registrationId"], path[name] = OPERATIONS[made_up % len(OPERATIONS)]
    if case.media_type == "application/x-ndjson":
        case.body = "\n".join(json.dumps(line) for line in LINES[: number(case.body) % 4])
    if isinstance(case.body, (dict, list)):
        case.body = known(case.body, path)


@schemathesis.hook
def before_call(context, case, kwargs):
    path = case.path_parameters
    if case.meta is None or case.meta.generation.mode is GenerationMode.POSITIVE:
        like_others(case, path)
    changes = case.operation.path.endswith("/renew") or case.method.upper() not in ("GET", "POST")
    if path and changes:
        last = list(path)[-1]
        if str(path[last]).lower() in KEPT:
            path[last] = "another"
    if case.headers.get("Authorization") == OPERATOR_TOKEN:
        signed = device_token(case.operation.path, path)
        case.headers["Authorization"] = signed or OPERATOR_TOKEN


@schemathesis.hook
def after_call(context, case, response):
    if response.status_code == 202 and case.operation.path.endswith("/register"):
        operation = response.json()["operationId"]
        OPERATIONS.append((case.path_parameters["registrationId"], operation))
