"""A custom allocation webhook: tells each request as a JSON line, answers as it was last told to."""

import argparse
import http.server
import json
import ssl
import sys
import threading

answer = {"status": 500, "body": {}}


class Webhook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        signed = {name: self.headers[name] for name in ("webhook-id", "webhook-signature")}
        print(json.dumps({"path": self.path, "asked": asked, "signed": signed}), flush=True)
        body = json.dumps(answer["body"]).encode()
        self.send_response(answer["status"])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cert", required=True)
    parser.add_argument("--key-file", required=True)
    args = parser.parse_args()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(args.cert, args.key_file)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"port": server.server_port}), flush=True)
    for line in sys.stdin:
        answer.update(json.loads(line))
        print(json.dumps({"told": True}), flush=True)


main()
