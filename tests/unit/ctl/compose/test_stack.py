"""Networks, secrets and configs of a stack; several files as one."""

import pytest

from tests.compose import project, refused, stack

SERVICE = "services: {web: {image: host}}\n"
LABELS = {"com.docker.stack.namespace": "st"}


def test_secrets_and_configs_are_made_of_files():
    found = stack(
        SERVICE
        + """
secrets:
  key: {file: ./key, labels: {a: b}, template_driver: golang}
  driven: {driver: vault, driver_opts: {path: x}, name: own}
  others: {external: true}
configs:
  site: {file: /srv/site}
""",
        files={"key": b"secret", "site": b"html"},
    )
    assert {"st_key", "own"} == set(found.secrets)
    key, driven = found.secrets["st_key"], found.secrets["own"]
    assert (b"secret", "golang") == (key.data, key.templating.name)
    assert LABELS | {"a": "b"} == dict(key.annotations.labels)
    assert (b"", "vault", {"path": "x"}) == (
        driven.data,
        driven.driver.name,
        dict(driven.driver.options),
    )
    assert b"html" == found.configs["st_site"].data
    assert ["others"] == found.external["secret"]


def test_networks_that_services_name_are_made():
    found = stack("""
        services:
          web: {image: nginx, networks: {front: {aliases: [a]}, out: , host: }}
        networks:
          front: {internal: true, ipam: {config: [{subnet: 10.1.0.0/16}]}, labels: [a=b]}
          out: {external: true, name: shared}
          host: {external: true, name: host}
          unused: {}
    """)
    (front,) = found.networks.values()
    assert ("st_front", True, "10.1.0.0/16") == (
        front.annotations.name,
        front.internal,
        front.ipam.configs[0].subnet,
    )
    assert LABELS | {"a": "b"} == dict(front.annotations.labels)
    assert ["shared"] == found.external["network"]
    assert "no task is attached to st_front, shared, host;" in found.notices[0]


def test_a_service_that_names_no_network_is_on_none():
    found = stack(SERVICE)
    assert ({}, ()) == (found.networks, found.notices)
    assert "default" in stack(SERVICE + "networks: {default: {}}").notices[0]


def test_host_processes_have_the_hosts_network_already():
    text = "services: {w: {image: host, networks: [h]}}\nnetworks: {h: {external: {name: host}}}"
    assert () == stack(text).notices


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("secrets: {a: {}}", "0.yml:2: secrets.a: needs a file, or external: true"),
        ("secrets: {a: {file: none}}", "secrets.a.file: cannot read /srv/none: No such file"),
        ("secrets: {a: {driver: d, file: none}}", "has a driver and a file"),
        ("secrets: {a: {external: {name: b}, name: c}}", "leave external.name out"),
        ("configs: {a: {driver: d}}", "configs.a: unknown key 'driver'; known here: name, ext"),
        ("networks: {a: {driver: 1}}", "networks.a.driver: must be text, not 1"),
        ("volumes: {a: [1]}", "volumes.a: must be a mapping, not a list"),
        ("volumes: {a: {external: 1}}", "volumes.a.external: must be true or false or a mapping"),
    ],
)
def test_what_is_wrong_is_told(text: str, sentence: str):
    assert sentence in refused(SERVICE + text)


BASE = """
version: "3.8"
services:
  web:
    image: one
    command: [a, b]
    environment: [A=1, B=2]
    ports: ["80:80", "81:81/udp"]
    volumes: ["/a:/x", "/b:/y"]
    dns: [1.1.1.1]
    secrets: [s]
    healthcheck: {test: a, interval: 5s}
    logging: {driver: json-file, options: {a: 1}}
    deploy: {replicas: 2, labels: {a: b}, update_config: {parallelism: 2, delay: 5s}}
  db: {image: db}
secrets: {s: {external: true}}
"""
OVER = """
version: "3.8"
services:
  web:
    image: two
    command: c
    environment: {B: 3}
    ports: ["80:8080", "9:9"]
    volumes: ["/c:/x"]
    dns: 2.2.2.2
    secrets: [{source: s, target: t}]
    healthcheck: {test: b}
    logging: {options: {b: 2}}
    deploy: {replicas: 3, update_config: {delay: 6s}}
  new: {image: new}
"""


def test_a_later_file_adds_to_the_earlier_and_overrides_it():
    services = project(BASE, OVER).section("services")
    assert {"web", "db", "new"} == set(services)
    assert {
        "image": "two",
        "command": ["c"],
        "environment": {"A": "1", "B": "3"},
        "ports": [
            {"target": 8080, "published": 80, "protocol": "tcp"},
            {"target": 81, "published": 81, "protocol": "udp"},
            {"target": 9, "published": 9, "protocol": "tcp"},
        ],
        "volumes": [
            {"type": "bind", "source": "/c", "target": "/x"},
            {"type": "bind", "source": "/b", "target": "/y"},
        ],
        "dns": ["1.1.1.1", "2.2.2.2"],
        "secrets": [{"source": "s", "target": "t"}],
        "healthcheck": {"test": ["CMD-SHELL", "b"], "interval": "5s"},
        "logging": {"driver": "json-file", "options": {"a": "1", "b": "2"}},
        "deploy": {
            "replicas": 3,
            "labels": {"a": "b"},
            "update_config": {"parallelism": 2, "delay": "6s"},
        },
    } == services["web"]


def test_another_log_driver_takes_no_options_of_the_first():
    over = 'version: "3.8"\nservices: {web: {logging: {driver: syslog}}}'
    assert {"driver": "syslog"} == project(BASE, over).section("services")["web"]["logging"]


def test_merging_a_file_with_itself_changes_nothing():
    assert project(BASE).value == project(BASE, BASE).value


def test_files_of_different_versions_do_not_merge():
    assert "of different versions: 3.8, 3.7" in refused(BASE, BASE.replace("3.8", "3.7"))
