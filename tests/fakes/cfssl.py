"""A server that speaks CFSSL's sign endpoint over mutual TLS, with knobs."""

import contextlib
import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from swarmd.security.certificates import new_request
from swarmd.security.external_ca import CROSS_SIGN_PROFILE
from swarmd.security.identity import Identity
from swarmd.security.root_ca import RootCA


class FakeCfssl:
    """Signs with `root`; `mode`: sign, refuse, garbage, error, another (somebody), no ca."""

    def __init__(self, root: RootCA, now: float) -> None:
        self.root, self.now, self.mode = root, now, "sign"
        self.url = ""
        self.requests: list[dict] = []

    def answer(self, request: dict) -> tuple[int, bytes]:
        self.requests.append(request)
        if self.mode == "error":
            return 500, b"no"
        if self.mode == "garbage":
            return 200, b"<html>"
        if self.mode == "refuse":
            errors = [{"code": 9, "message": "policy"}]
            return 200, json.dumps({"success": False, "result": None, "errors": errors}).encode()
        if request.get("profile") == CROSS_SIGN_PROFILE:
            return 200, reply(self.intermediate(request))
        names = request["subject"]["names"][0]
        node_id = "somebody" if self.mode == "another" else request["subject"]["CN"]
        node = Identity(node_id, names["OU"], names["O"])
        request_pem = request["certificate_request"].encode()
        return 200, reply(self.root.signer().sign(request_pem, node, 7200.0, self.now))

    def intermediate(self, request: dict) -> bytes:
        """What a CFSSL server does whose profile CA is for CAs; in another mood, it is not."""
        asked = x509.load_pem_x509_csr(request["certificate_request"].encode())
        signer = self.root.signer()
        (extension,) = request["extensions"]
        assert "2.5.29.19" == extension["id"]
        start = datetime.fromtimestamp(self.now, UTC)
        name = asked.subject
        if self.mode == "another":
            name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
        builder = x509.CertificateBuilder(signer.certificate.subject, name, asked.public_key())
        builder = builder.serial_number(7).not_valid_before(start - timedelta(hours=1))
        builder = builder.not_valid_after(start + timedelta(days=365))
        basic = x509.BasicConstraints(ca=self.mode != "no ca", path_length=None)
        signed = builder.add_extension(basic, True).sign(signer.key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM)


def reply(pem: bytes) -> bytes:
    return json.dumps({"success": True, "result": {"certificate": pem.decode()}}).encode()


def server_files(root: RootCA, directory: Path, now: float) -> tuple[Path, Path]:
    """A certificate of this root for localhost, and its key."""
    request, key = new_request()
    node = Identity("localhost", "swarm-manager", "ca")
    certificate, key_path = directory / "ca-server.crt", directory / "ca-server.key"
    certificate.write_bytes(root.signer().sign(request, node, 7200.0, now))
    key_path.write_bytes(key)
    return certificate, key_path


@contextlib.contextmanager
def serving(fake: FakeCfssl, directory: Path) -> Iterator[FakeCfssl]:
    """It answers at `fake.url` within the block."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, content = fake.answer(json.loads(body))
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*server_files(fake.root, directory, fake.now))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=fake.root.certificate_pem.decode())
    server.socket = context.wrap_socket(server.socket, server_side=True)
    fake.url = f"https://localhost:{server.server_address[1]}/api/v1/cfssl/sign"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
