"""Registers one device with a certificate signing request, as no SDK does yet.

Speaks the device API of 2025-07-01-preview as its specification has it, over MQTT or HTTPS; makes
the key and the request with openssl, and writes the certificate that it is given. Prints what it
was told as one JSON line.
"""

import argparse
import base64
import hashlib
import hmac
import http.client
import json
import queue
import ssl
import subprocess
import time
import urllib.parse

import paho.mqtt.client as mqtt

VERSION = "2025-07-01-preview"
# Seconds for one answer, and for one registration.
ANSWER = 30
WHOLE = 60


def token(args):
    resource = urllib.parse.quote(f"{args.id_scope}/registrations/{args.registration_id}", safe="")
    expires = int(time.time()) + 3600
    signed = f"{resource}\n{expires}".encode()
    mac = hmac.new(base64.b64decode(args.key), signed, hashlib.sha256).digest()
    signature = urllib.parse.quote(base64.b64encode(mac), safe="")
    return f"SharedAccessSignature sr={resource}&sig={signature}&se={expires}&skn=registration"


def trust(args):
    context = ssl.create_default_context(cafile=args.ca)
    if args.cert:
        context.load_cert_chain(args.cert, args.key_file)
    return context


class Http:
    """Each call is a status and a body."""

    def __init__(self, args):
        self.args = args
        self.at = f"/{args.id_scope}/registrations/{args.registration_id}"
        self.connection = http.client.HTTPSConnection(
            args.host, context=trust(args), timeout=ANSWER
        )

    def call(self, method, path, body=None):
        headers = {"Content-Type": "application/json"}
        if self.args.key:
            headers["Authorization"] = token(self.args)
        text = None if body is None else json.dumps(body)
        address = f"{self.at}{path}?api-version={VERSION}"
        self.connection.request(method, address, text, headers)
        response = self.connection.getresponse()
        return response.status, json.loads(response.read() or b"{}")

    def register(self, body):
        return self.call("PUT", "/register", body)

    def poll(self, operation):
        return self.call("GET", f"/operations/{operation}")

    def look_up(self, body):
        return self.call("POST", "", body)


class Mqtt:
    def __init__(self, args):
        self.answers = queue.Queue()
        self.rid = 0
        client = mqtt.Client(args.registration_id, protocol=mqtt.MQTTv311)
        client.tls_set_context(trust(args))
        name = f"{args.id_scope}/registrations/{args.registration_id}/api-version={VERSION}"
        client.username_pw_set(name, token(args) if args.key else None)
        client.on_message = lambda _client, _data, message: self.answers.put(message)
        client.on_subscribe = lambda *_: self.answers.put(None)
        client.connect(args.host, 8883)
        client.loop_start()
        client.subscribe("$dps/registrations/res/#", 1)
        self.answers.get(timeout=ANSWER)
        self.client = client

    def ask(self, topic, more="", body=""):
        self.rid += 1
        self.client.publish(f"$dps/registrations/{topic}/?$rid={self.rid}{more}", body, 1)
        message = self.answers.get(timeout=ANSWER)
        return int(message.topic.split("/")[3]), json.loads(message.payload)

    def register(self, body):
        return self.ask("PUT/iotdps-register", body=json.dumps(body))

    def poll(self, operation):
        return self.ask("GET/iotdps-get-operationstatus", f"&operationId={operation}")


def request(args):
    """A fresh key and a request for it, as base64 of DER."""
    made = ["openssl", "req", "-new", "-nodes", "-newkey", "ec", "-outform", "DER"]
    made += ["-pkeyopt", "ec_paramgen_curve:P-384", "-subj", f"/CN={args.subject}"]
    made += ["-keyout", f"{args.out}.key"]
    der = subprocess.run(made, check=True, capture_output=True).stdout
    return base64.b64encode(der).decode()


def keep(args, chain):
    pem = [ssl.DER_cert_to_PEM_cert(base64.b64decode(one)) for one in chain]
    for name, part in (("leaf", pem[:1]), ("chain", pem[:-1]), ("root", pem[-1:])):
        with open(f"{args.out}.{name}", "w", encoding="ascii") as file:
            file.writelines(part)


def register(args, service, csr):
    body = {"registrationId": args.registration_id, "csr": csr}
    status, told = service.register(body)
    ends = time.monotonic() + WHOLE
    while status == 202 and time.monotonic() < ends:
        operation = told["operationId"]
        status, told = service.poll(operation)
        if status == 202:
            time.sleep(0.2)
    state = told.get("registrationState") or {}
    chain = state.pop("issuedCertificateChain", None)
    if chain:
        keep(args, chain)
        # Whoever asks once more is told the same.
        assert service.poll(operation)[1]["registrationState"]["issuedCertificateChain"] == chain
    if isinstance(service, Http):
        refused, _ = service.look_up(body)
        found, record = service.look_up({"registrationId": args.registration_id})
        state["lookUp"] = [refused, found, "issuedCertificateChain" in record]
    return {"status": status, "state": state, "certificates": len(chain or []), "told": told}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("host", "ca", "id-scope", "registration-id", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--transport", choices=["mqtt", "http"], required=True)
    parser.add_argument("--key", help="symmetric key, base64")
    parser.add_argument("--cert", help="PEM file: leaf, then intermediates")
    parser.add_argument("--key-file", help="PEM file of the leaf's private key")
    parser.add_argument("--subject", help="the common name that is asked for")
    parser.add_argument("--csr", help="sent as it is; nothing is made then")
    args = parser.parse_args()
    args.subject = args.subject or args.registration_id
    service = Mqtt(args) if args.transport == "mqtt" else Http(args)
    print(json.dumps(register(args, service, args.csr or request(args))), flush=True)


main()
