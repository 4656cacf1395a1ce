"""One hub device, told what to do by lines on standard input; prints one JSON event a line.

Lines: `twin`, `send JSON`, `report JSON`, `wait-disconnect SECONDS`, `quit`.
"""

import json
import os
import sys
import threading

from azure.iot.device import IoTHubDeviceClient, Message

import device


class Device:
    def __init__(self, args):
        self.client = device.client(
            IoTHubDeviceClient,
            args,
            hostname=args.host,
            device_id=args.device_id,
            connection_retry=args.reconnect,
            auto_connect=args.reconnect,
        )
        self.changed = threading.Condition()
        self.connected = False
        self.client.on_connection_state_change = self.on_connection
        self.client.on_background_exception = self.on_background

    def on_connection(self):
        with self.changed:
            self.connected = self.client.connected
            device.say(event="connection", connected=self.connected)
            self.changed.notify_all()

    def on_background(self, error):
        device.say(event="background", **device.failure(error))

    def twin(self, _):
        device.say(event="twin", twin=self.client.get_twin())

    def send(self, body):
        message = Message(json.dumps(json.loads(body)))
        message.content_type = "application/json"
        message.content_encoding = "utf-8"
        self.client.send_message(message)
        device.say(event="sent")

    def report(self, patch):
        self.client.patch_twin_reported_properties(json.loads(patch))
        device.say(event="reported")

    def wait_disconnect(self, seconds):
        with self.changed:
            gone = self.changed.wait_for(lambda: not self.connected, float(seconds))
        device.say(event="disconnected" if gone else "still-connected")


def main():
    parser = device.arguments(__doc__)
    parser.add_argument("--device-id", required=True)
    parser.add_argument("--reconnect", action="store_true", help="let the SDK reconnect by itself")
    args = parser.parse_args()
    try:
        hub_device = Device(args)
        hub_device.client.connect()
        with hub_device.changed:
            hub_device.changed.wait_for(lambda: hub_device.connected, 10)
        device.say(event="ready")
    except Exception as error:
        device.say(event="refused", **device.failure(error))
        os._exit(0)
    actions = {
        "twin": hub_device.twin,
        "send": hub_device.send,
        "report": hub_device.report,
        "wait-disconnect": hub_device.wait_disconnect,
    }
    for line in sys.stdin:
        name, _, argument = line.strip().partition(" ")
        if name == "quit":
            break
        try:
            actions[name](argument)
        except Exception as error:
            device.say(event="error", action=name, **device.failure(error))
    device.say(event="bye")
    os._exit(0)


main()
