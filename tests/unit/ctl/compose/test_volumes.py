"""Volumes and tmpfs of a service, as mounts."""

from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from tests.compose import refused_service, service

VOLUMES = """
volumes:
  data: {}
  tuned: {driver: rex, driver_opts: {size: 20}, labels: [a=b]}
  other: {external: true}
  named: {name: its-own}
"""
LABELS = {"com.docker.stack.namespace": "st"}


def mount(text: str) -> dict[str, Any]:
    (found,) = service(text, VOLUMES, HOME="/home/me").task.container.mounts
    facts: dict[str, Any] = MessageToDict(found, preserving_proto_field_name=True)
    return facts


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("/var/lib", {"type": "VOLUME", "target": "/var/lib"}),
        ("/opt/data:/data", {"source": "/opt/data", "target": "/data"}),
        ("./cache:/tmp/cache", {"source": "/srv/cache", "target": "/tmp/cache"}),
        ("../x:/x:ro", {"source": "/x", "target": "/x", "readonly": True}),
        ("~/c:/c", {"source": "/home/me/c", "target": "/c"}),
        (
            "/a:/b:rw,rslave",
            {"source": "/a", "target": "/b", "bind_options": {"propagation": "RSLAVE"}},
        ),
        ("'c:\\a:d:\\b:ro'", {"source": "c:\\a", "target": "d:\\b", "readonly": True}),
        (
            "data:/data:nocopy",
            {
                "type": "VOLUME",
                "source": "st_data",
                "target": "/data",
                "volume_options": {"nocopy": True, "labels": LABELS},
            },
        ),
        ("other:/o", {"type": "VOLUME", "source": "other", "target": "/o"}),
        (
            "tuned:/t",
            {
                "type": "VOLUME",
                "source": "st_tuned",
                "target": "/t",
                "volume_options": {
                    "labels": {"a": "b", **LABELS},
                    "driver_config": {"name": "rex", "options": {"size": "20"}},
                },
            },
        ),
        (
            "{type: volume, source: named, target: /n, volume: {subpath: s}, read_only: true}",
            {
                "type": "VOLUME",
                "source": "its-own",
                "target": "/n",
                "readonly": True,
                "volume_options": {"subpath": "s", "labels": LABELS},
            },
        ),
        (
            "{type: tmpfs, target: /t, tmpfs: {size: 64M, mode: 01777}}",
            {
                "type": "TMPFS",
                "target": "/t",
                "tmpfs_options": {"size_bytes": "67108864", "mode": 0o1777},
            },
        ),
        (
            "{type: bind, source: ., target: /t, bind: {create_host_path: true}}",
            {"source": "/srv", "target": "/t", "bind_options": {"createmountpoint": True}},
        ),
        (
            "{type: cluster, source: 'group:g', target: /t, consistency: cached}",
            {"type": "CLUSTER", "source": "group:g", "target": "/t", "consistency": "CACHED"},
        ),
        (
            "{type: cluster, source: data, target: /t}",
            {"type": "CLUSTER", "source": "st_data", "target": "/t"},
        ),
    ],
)
def test_a_volume_becomes_a_mount(text: str, becomes: dict[str, Any]):
    assert becomes == mount(f"volumes: [{text}]" if text[0] in "{'" else f"volumes: ['{text}']")


def test_a_tmpfs_is_honoured_too():
    becomes = {"type": "TMPFS", "target": "/run", "tmpfs_options": {"size_bytes": "1024"}}
    assert becomes == mount("tmpfs: /run:size=1k")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("volumes: [none:/x]", "volumes[0]: there is no volume none under the top-level volumes"),
        ("volumes: ['a:b:c:d']", "'a:b:c:d' is not [SOURCE:]TARGET[:OPTIONS]"),
        ("volumes: ['a::b']", "is not [SOURCE:]TARGET[:OPTIONS]"),
        ("volumes: ['/a:/b:zz']", "'zz' is no option of a volume"),
        ("volumes: [{type: volume}]", "target is missing"),
        ("volumes: [{type: bind, target: /x}]", "a bind needs a source"),
        ("volumes: [{type: tmpfs, source: a, target: /x}]", "a tmpfs has no source"),
        ("volumes: [{type: image, target: /x}]", "must be one of volume, bind, tmpfs, npipe, clu"),
        (
            "volumes: [{type: tmpfs, target: /x, bind: {propagation: shared}}]",
            "bind options do not go with type tmpfs",
        ),
        ("tmpfs: run", "'run' does not start with an absolute path"),
        ("tmpfs: [/run:mode=9]", "'mode=9' is no option of a tmpfs"),
        ("tmpfs: [/run:size=99999999p]", "is more than 9223372036854775807 bytes"),
    ],
)
def test_what_is_wrong_is_told(text: str, sentence: str):
    assert sentence in refused_service(text, VOLUMES)
