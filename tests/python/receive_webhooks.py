"""Receives webhooks as an app in Python would, with the libraries that such apps use.

Says on which port it listens, reads {"secret", "public_key"} from the first line of its input, and then writes one line for
each webhook: {"id", "verified": [library…], "refused": {library: why}}. A library counts only if it refuses the same webhook
with another body or another secret.
"""

import base64
import http.server
import json
import sys
import threading

import standardwebhooks
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from workos import WorkOSClient

OTHER = {
    "secret": "whsec_" + base64.b64encode(b"\1" * 32).decode(),
    "public_key": "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
}
workos = WorkOSClient(api_key="sk_not_used", client_id="client_not_used")


def standard(body, headers, keys):
    standardwebhooks.Webhook(keys["secret"]).verify(body, headers)


def of_workos(body, headers, keys):
    workos.webhooks.verify_event(
        event_body=body,
        event_signature=headers["workos-signature"],
        secret=keys["secret"],
    )


def ed25519(body, headers, keys):
    """`v1a` of Standard Webhooks, which its library for Python does not read."""
    key = base64.b64decode(keys["public_key"].removeprefix("whpk_"))
    found = [one for one in headers["webhook-signature"].split(" ") if one.startswith("v1a,")]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    signature = base64.b64decode(found[0].removeprefix("v1a,"))
    Ed25519PublicKey.from_public_bytes(key).verify(signature, signed)


LIBRARIES = {"standardwebhooks": standard, "workos": of_workos, "ed25519": ed25519}


def refuses(verify, *webhook):
    try:
        verify(*webhook)
    except Exception:
        return True
    return False


def judge(verify, body, headers, keys):
    verify(body, headers, keys)
    if not refuses(verify, body + b" ", headers, keys):
        raise ValueError("takes another body")
    if not refuses(verify, body, headers, OTHER):
        raise ValueError("takes another secret")


def receive(body, headers, keys):
    verdict = {"id": headers["webhook-id"], "verified": [], "refused": {}}
    for name, verify in LIBRARIES.items():
        try:
            judge(verify, body, headers, keys)
            verdict["verified"].append(name)
        except Exception as error:
            verdict["refused"][name] = repr(error)
    return verdict


def say(line):
    # One write for the whole line: connections are served side by side.
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        verdict = receive(body, headers, self.server.keys)
        say(verdict)
        self.send_response(400 if verdict["refused"] else 204)
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
say({"port": server.server_port})
server.keys = json.loads(sys.stdin.readline())
threading.Thread(target=server.serve_forever, daemon=True).start()
# Until whoever started it goes away.
sys.stdin.read()
