"""What the device programs share: credentials, one JSON object a line, errors with their causes."""

import argparse
import json
import threading

from azure.iot.device import X509

_printing = threading.Lock()


def arguments(description):
    """The arguments that every device program takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--host", required=True)
    parser.add_argument("--ca", required=True, help="PEM file of the server's CA")
    parser.add_argument("--key", help="symmetric key, base64")
    parser.add_argument("--cert", help="PEM file: leaf, then intermediates")
    parser.add_argument("--key-file", help="PEM file of the leaf's private key")
    parser.add_argument("--ws", action="store_true", help="MQTT over WebSocket")
    return parser


def client(kind, args, **options):
    """A client of class `kind`, by the credentials that `args` names."""
    with open(args.ca, encoding="ascii") as file:
        options["server_verification_cert"] = file.read()
    options["websockets"] = args.ws
    if args.cert:
        x509 = X509(cert_file=args.cert, key_file=args.key_file)
        return kind.create_from_x509_certificate(x509=x509, **options)
    return kind.create_from_symmetric_key(symmetric_key=args.key, **options)


def say(**event):
    """Prints one event as one line."""
    with _printing:
        print(json.dumps(event, default=str), flush=True)


def failure(error):
    """An exception as a JSON value; the SDK hides the telling one in the causes."""
    chain = []
    seen = error
    while seen is not None:
        chain.append(f"{type(seen).__name__}: {seen}")
        seen = seen.__cause__
    return {"type": type(error).__name__, "message": " <- ".join(chain)}
