"""A registry with one image, app:v1; run as a program in an engine's own network.

python docker_registry.py <port> [<user>:<password>]       prints a line when it listens
python docker_registry.py <port> hangs                     takes connections, and never answers
"""

import base64
import gzip
import hashlib
import http.server
import io
import json
import sys
import tarfile
import time
from typing import Final

_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
_LAYER: Final = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def _layer() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        tar.add("/bin/busybox", "bin/busybox")
        for name in ("sh", "echo", "true"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return data.getvalue()


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _described(data: bytes, media_type: str) -> dict[str, object]:
    return {"mediaType": media_type, "size": len(data), "digest": _digest(data)}


def image() -> tuple[bytes, dict[str, bytes]]:
    """Its manifest, and its blobs by digest."""
    layer = _layer()
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["echo", "from the registry"]},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
    ).encode()
    zipped = gzip.compress(layer, 1)
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": _described(config, _CONFIG),
        "layers": [_described(zipped, _LAYER)],
    }
    return json.dumps(manifest).encode(), {_digest(each): each for each in (config, zipped)}


class Registry(http.server.BaseHTTPRequestHandler):
    """As much of the protocol as a pull needs."""

    protocol_version = "HTTP/1.1"
    manifest, blobs = image()
    wanted = ""
    hangs = False

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if self.hangs:
            time.sleep(3600)
        if self.wanted and self.headers.get("Authorization") != self.wanted:
            self._answer(401, b"", ("WWW-Authenticate", 'Basic realm="registry"'))
        elif self.path == "/v2/":
            self._answer(200, b"{}")
        elif self.path.startswith("/v2/app/manifests/"):
            self._answer(200, self.manifest, ("Content-Type", _MANIFEST))
        elif blob := self.blobs.get(self.path.removeprefix("/v2/app/blobs/")):
            self._answer(200, blob, ("Content-Type", "application/octet-stream"))
        else:
            self._answer(404, b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}')

    def log_message(self, *_: object) -> None:
        """Nothing is printed but the first line."""

    def _answer(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Docker-Content-Digest", _digest(self.manifest))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def main() -> None:
    port, *words = sys.argv[1:]
    Registry.hangs = words == ["hangs"]
    if words and not Registry.hangs:
        Registry.wanted = f"Basic {base64.b64encode(words[0].encode()).decode()}"
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Registry)
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
