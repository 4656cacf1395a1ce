"""A receiver of lifecycle events: verifies each by Standard Webhooks, tells them when it is asked.

It shares no code with the server: the signature is made anew from the specification's text.
"""

import argparse
import base64
import hmac
import http.server
import json
import ssl
import sys
import threading
import time

answer = {"status": 204, "consent": "*"}
taken, refused = [], []
more = threading.Condition()
# Of the specification: older or newer ones are not to be believed.
TOLERANCE_S = 300


def verified(secret, headers, body):
    """Standard Webhooks 1.0: `id.timestamp.body`, HMAC-SHA256, any of the signatures that are v1."""
    message_id, at = headers["webhook-id"], headers["webhook-timestamp"]
    if abs(time.time() - int(at)) > TOLERANCE_S:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    made = base64.b64encode(hmac.digest(key, f"{message_id}.{at}.".encode() + body, "sha256"))
    shown = (each.split(",", 1) for each in headers["webhook-signature"].split(" "))
    return any(kind == "v1" and hmac.compare_digest(mac.encode(), made) for kind, mac in shown)


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        event = json.loads(body)
        note = {
            "event": event,
            "verified": verified(SECRET, self.headers, body),
            "isItsOwnId": self.headers["webhook-id"] == event["id"],
            "contentType": self.headers["content-type"],
            "origin": self.headers["webhook-request-origin"],
        }
        with more:
            (taken if answer["status"] < 300 else refused).append(note)
            more.notify_all()
        self.send_response(answer["status"])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_OPTIONS(self):
        self.send_response(200)
        if answer["consent"]:
            self.send_header("WebHook-Allowed-Origin", answer["consent"])
            self.send_header("WebHook-Allowed-Rate", "*")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def tell(value):
    print(json.dumps(value), flush=True)


def main():
    global SECRET
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cert", required=True)
    parser.add_argument("--key-file", required=True)
    parser.add_argument("--secret", required=True)
    args = parser.parse_args()
    SECRET = args.secret
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(args.cert, args.key_file)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    tell({"port": server.server_port})
    for line in sys.stdin:
        asked = json.loads(line)
        if "of" not in asked:
            answer.update(asked)
            tell({"told": True})
            continue
        notes = taken if asked["of"] == "taken" else refused
        with more:
            more.wait_for(lambda: len(notes) >= asked["count"], timeout=asked["seconds"])
            tell({"notes": notes})


main()
