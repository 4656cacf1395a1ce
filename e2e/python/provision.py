"""Registers one device with the provisioning service and prints the result as one JSON line."""

import json
import os
import sys

from azure.iot.device import ProvisioningDeviceClient

import device


def register(args):
    client = device.client(
        ProvisioningDeviceClient,
        args,
        provisioning_host=args.host,
        id_scope=args.id_scope,
        registration_id=args.registration_id,
    )
    if args.payload is not None:
        client.provisioning_payload = json.loads(args.payload)
    result = client.register()
    state = result.registration_state
    return {
        "outcome": result.status,
        "status": result.status,
        "operation_id": result.operation_id,
        "assigned_hub": state and state.assigned_hub,
        "device_id": state and state.device_id,
        "substatus": state and state.sub_status,
        "etag": state and state.etag,
        "payload": state and json.loads(state.response_payload),
    }


def main():
    parser = device.arguments(__doc__)
    parser.add_argument("--id-scope", required=True)
    parser.add_argument("--registration-id", required=True)
    parser.add_argument("--payload", help="JSON sent with the registration")
    args = parser.parse_args()
    try:
        device.say(**register(args))
    except Exception as error:  # Whatever the SDK raises is the result.
        device.say(outcome="error", **device.failure(error))
    # After a refusal the SDK's threads stay; the result is out, so nothing waits for them.
    sys.stderr.flush()
    os._exit(0)


main()
