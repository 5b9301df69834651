"""Each key of a service, as the field of a spec that it becomes."""

from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from swarmd import api
from tests.compose import refused, service, stack

HOST = api.PortConfig.PublishMode.HOST


def facts(spec: Any) -> dict[str, Any]:
    return MessageToDict(spec, preserving_proto_field_name=True)


def container(text: str, below: str = "", **given: Any) -> dict[str, Any]:
    """What the lines add to a container."""
    found = facts(service(text, below, **given).task.container)
    assert "host" == found.pop("image")
    assert {"com.docker.stack.namespace": "st"} == found.pop("labels")
    return found


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("command: echo 'a b' c\\ d \"e\\$$f\"", {"args": ["echo", "a b", "c d", "e$f"]}),
        ("command: [echo, 'a b']", {"args": ["echo", "a b"]}),
        ("command: |\n  a # comment\n  b#c\n", {"args": ["a", "b#c"]}),
        ("command: \"''\"", {"args": [""]}),
        ("entrypoint: /bin/sh -c", {"command": ["/bin/sh", "-c"]}),
        ("environment: {B: 1, A: 1.50, C: x=y, D: }", {"env": ["A=1.5", "B=1", "C=x=y", "D"]}),
        ("environment: [B=1, A=, X]", {"env": ["A=", "B=1", "X"]}),
        ("working_dir: /srv", {"dir": "/srv"}),
        ("user: www:www", {"user": "www:www"}),
        ("hostname: h", {"hostname": "h"}),
        ("tty: true", {"tty": True}),
        ("stdin_open: true", {"open_stdin": True}),
        ("read_only: true", {"read_only": True}),
        ("init: false", {"init": False}),
        ("stop_signal: SIGINT", {"stop_signal": "SIGINT"}),
        ("stop_grace_period: 1m30s", {"stop_grace_period": "90s"}),
        ("oom_score_adj: -500", {"oom_score_adj": "-500"}),
        ("isolation: HyperV", {"isolation": "ISOLATION_HYPERV"}),
        ("sysctls: [net.core.somaxconn=1024]", {"sysctls": {"net.core.somaxconn": "1024"}}),
        ("dns: 8.8.8.8", {"dns_config": {"nameservers": ["8.8.8.8"]}}),
        ("dns_search: [a.b, c.d]", {"dns_config": {"search": ["a.b", "c.d"]}}),
        ("extra_hosts: ['a:1.2.3.4', 'b=[::1]']", {"hosts": ["1.2.3.4 a", "::1 b"]}),
        ("extra_hosts: {a: 1.2.3.4}", {"hosts": ["1.2.3.4 a"]}),
        (
            "cap_add: [net_admin]\ncap_drop: [CAP_NET_ADMIN, chown]",
            {"capability_add": ["CAP_NET_ADMIN"], "capability_drop": ["CAP_CHOWN"]},
        ),
        ("cap_drop: [ALL, chown]", {"capability_drop": ["ALL"]}),
        (
            "ulimits: {nproc: 65535, core: {soft: 1, hard: -1}}",
            {
                "ulimits": [
                    {"name": "core", "soft": "1", "hard": "-1"},
                    {"name": "nproc", "soft": "65535", "hard": "65535"},
                ]
            },
        ),
        (
            (
                "healthcheck: {test: curl x, interval: 90s, timeout: 10s, retries: 3, "
                "start_period: 4s, start_interval: 5s}"
            ),
            {
                "healthcheck": {
                    "test": ["CMD-SHELL", "curl x"],
                    "interval": "90s",
                    "timeout": "10s",
                    "retries": 3,
                    "start_period": "4s",
                    "start_interval": "5s",
                }
            },
        ),
        ("healthcheck: {test: [CMD, a]}", {"healthcheck": {"test": ["CMD", "a"]}}),
        ("healthcheck: {disable: true}", {"healthcheck": {"test": ["NONE"]}}),
        (
            "credential_spec: {file: a.json}",
            {"privileges": {"credential_spec": {"file": "a.json"}}},
        ),
        ("deploy:\n  resources: {limits: {pids: 7}}", {"pidsLimit": "7"}),
    ],
)
def test_a_key_becomes_a_container_field(text: str, becomes: dict[str, Any]):
    assert becomes == container(text)


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("mode: global", {"global": {}}),
        ("mode: replicated", {"replicated": {"replicas": "1"}}),
        ("replicas: 0", {"replicated": {}}),
        ("replicas: 6", {"replicated": {"replicas": "6"}}),
        (
            "mode: replicated-job\n  replicas: 3",
            {"replicated_job": {"max_concurrent": "3", "total_completions": "3"}},
        ),
        ("mode: global-job", {"global_job": {}}),
        (
            (
                "update_config: {delay: 10s, failure_action: rollback, monitor: 1m, "
                "order: start-first, max_failure_ratio: 0.25}"
            ),
            {
                "update": {
                    "parallelism": "1",
                    "delay": "10s",
                    "failure_action": "ROLLBACK",
                    "monitor": "60s",
                    "max_failure_ratio": 0.25,
                    "order": "START_FIRST",
                }
            },
        ),
        ("rollback_config: {parallelism: 0}", {"rollback": {"delay": "0s"}}),
        ("endpoint_mode: DNSRR", {"endpoint": {"mode": "DNSRR"}}),
    ],
)
def test_a_deploy_key_becomes_a_service_field(text: str, becomes: dict[str, Any]):
    found = facts(service(f"deploy:\n  {text}"))
    del found["annotations"], found["task"]
    mode = {} if text.startswith(("mode:", "replicas:")) else {"replicated": {"replicas": "1"}}
    assert {**mode, **becomes} == found


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        (
            "restart_policy: {condition: on-failure, delay: 5s, max_attempts: 3, window: 120s}",
            {
                "restart": {
                    "condition": "ON_FAILURE",
                    "delay": "5s",
                    "max_attempts": "3",
                    "window": "120s",
                }
            },
        ),
        ("restart_policy: {delay: 5s}", {"restart": {"condition": "ANY", "delay": "5s"}}),
        (
            (
                "placement: {constraints: [node.role==manager], max_replicas_per_node: 1,"
                " preferences: [{spread: node.labels.zone}]}"
            ),
            {
                "placement": {
                    "constraints": ["node.role==manager"],
                    "preferences": [{"spread": {"spread_descriptor": "node.labels.zone"}}],
                    "max_replicas": "1",
                }
            },
        ),
        (
            (
                "resources: {limits: {cpus: '0.50', memory: 50M}, reservations: {cpus: 0.25, "
                "memory: 20971520, generic_resources: "
                "[{discrete_resource_spec: {kind: gpu, value: 2}}]}}"
            ),
            {
                "resources": {
                    "limits": {"nano_cpus": "500000000", "memory_bytes": "52428800"},
                    "reservations": {
                        "nano_cpus": "250000000",
                        "memory_bytes": "20971520",
                        "generic": [{"discrete_resource_spec": {"kind": "gpu", "value": "2"}}],
                    },
                }
            },
        ),
    ],
)
def test_a_deploy_key_becomes_a_task_field(text: str, becomes: dict[str, Any]):
    found = facts(service(f"deploy:\n  {text}").task)
    del found["container"]
    assert becomes == found


@pytest.mark.parametrize(
    ("text", "condition", "attempts"),
    [
        ("'no'", "NONE", 0),
        ("always", "ANY", 0),
        ("unless-stopped", "ANY", 0),
        ("on-failure:4", "ON_FAILURE", 4),
    ],
)
def test_composes_own_restart_is_honoured(text: str, condition: str, attempts: int):
    restart = service(f"restart: {text}").task.restart
    assert (condition, attempts) == (
        api.RestartPolicy.RestartCondition.Name(restart.condition),
        restart.max_attempts,
    )


def test_names_and_labels_say_whose_a_service_is():
    found = stack("""
        services:
          web:
            image: nginx:1
            labels: {a: 1}
            deploy: {labels: [b=2]}
    """).services["st_web"]
    assert "st_web" == found.annotations.name
    namespace = {"com.docker.stack.namespace": "st"}
    image = {"com.docker.stack.image": "nginx:1"}
    assert {"b": "2"} | namespace | image == dict(found.annotations.labels)
    assert {"a": "1"} | namespace == dict(found.task.container.labels)


def test_a_log_driver_has_options():
    driver = service("logging: {driver: json-file, options: {max-size: 10m, max-file: 3}}").task
    assert {"max-size": "10m", "max-file": "3"} == dict(driver.log_driver.options)
    assert "json-file" == driver.log_driver.name


def ports(text: str) -> list[tuple[int, int, str, str]]:
    return [
        (
            one.published_port,
            one.target_port,
            api.PortConfig.Protocol.Name(one.protocol),
            api.PortConfig.PublishMode.Name(one.publish_mode),
        )
        for one in service(f"ports: [{text}]").endpoint.ports
    ]


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("3000", [(0, 3000, "TCP", "HOST")]),
        ("8080:80", [(8080, 80, "TCP", "HOST")]),
        ('"22:22"', [(22, 22, "TCP", "HOST")]),
        ('"127.0.0.1:8001:8001"', [(8001, 8001, "TCP", "HOST")]),
        ('"[::1]:8001:8001"', [(8001, 8001, "TCP", "HOST")]),
        ('"6060:6060/UDP"', [(6060, 6060, "UDP", "HOST")]),
        ('"1-2"', [(0, 1, "TCP", "HOST"), (0, 2, "TCP", "HOST")]),
        ('"91-92:81-82"', [(91, 81, "TCP", "HOST"), (92, 82, "TCP", "HOST")]),
        ('"91-92:80"', [(91, 80, "TCP", "HOST"), (92, 80, "TCP", "HOST")]),
        ("{target: 80}", [(0, 80, "TCP", "HOST")]),
        (
            "{target: 80, published: 8080, protocol: sctp, mode: ingress}",
            [(8080, 80, "SCTP", "INGRESS")],
        ),
    ],
)
def test_ports_are_published_on_the_node_unless_told_otherwise(
    text: str, becomes: list[tuple[int, int, str, str]]
):
    assert becomes == ports(text)


REFERENCES = """
secrets:
  key: {file: key.txt}
  old: {external: true}
  named: {external: {name: own}}
configs:
  site: {file: key.txt, name: own-site}
"""


def test_secrets_and_configs_are_referred_to_by_full_name():
    text = """
        secrets: [old, key, {source: named, target: /t, uid: '3', gid: '4', mode: 0440}]
        configs: [site]
    """
    found = service(text, REFERENCES, files={"key.txt": b"k"}).task.container
    assert [
        ("old", "old", "", "", 0o444),
        ("own", "/t", "3", "4", 0o440),
        ("st_key", "key", "", "", 0o444),
    ] == [
        (one.secret_name, one.file.name, one.file.uid, one.file.gid, one.file.mode)
        for one in found.secrets
    ]
    assert [("own-site", "site")] == [(one.config_name, one.file.name) for one in found.configs]


def test_a_file_in_a_container_has_an_owner():
    text = "services: {web: {image: nginx, secrets: [s]}}\nsecrets: {s: {external: true}}"
    (found,) = stack(text).services["st_web"].task.container.secrets
    assert ("0", "0") == (found.file.uid, found.file.gid)


def test_a_credential_spec_in_a_config_is_a_runtime_reference():
    found = service("credential_spec: {config: site}", REFERENCES, files={"key.txt": b"k"})
    (reference,) = found.task.container.configs
    assert ("own-site", "runtime") == (reference.config_name, reference.WhichOneof("target"))


def test_what_is_not_honoured_is_named():
    found = stack("""
        services:
          web: {image: host, build: ., depends_on: [db], ports: ["80:80"]}
          db: {image: host, build: {context: .}, networks: [back]}
        networks: {back: {driver: overlay}}
    """)
    assert (
        "ignoring unsupported option build (web, db)",
        "ignoring unsupported option depends_on (web)",
        (
            "there is no network driver: no task is attached to st_back; containers are on their "
            "engine's default network, host processes on the host's"
        ),
        (
            "there is no routing mesh: ports of web are published on the nodes that run a task "
            "(mode: host), and on no others"
        ),
    ) == found.notices


def test_keys_of_the_users_own_mean_nothing():
    text = "x-a: [1]\nservices: {web: {image: host, x-b: {c: d}}}\nvolumes: {v: {x-c: 1}}"
    assert () == stack(text).notices
    cluster = stack(text.replace("x-c: 1", "x-cluster-spec: {}"))  # Docker's, for volumes to come
    assert ("ignoring unsupported option x-cluster-spec (v)",) == cluster.notices


def test_env_files_come_before_the_environment_and_the_callers_values_fill_in():
    text = "env_file: [a.env, b.env]\nenvironment: {B: mine, D: }"
    files = {
        "a.env": b'\xef\xbb\xbf# comment\n\n  A=1 \r\nB="2"\nC\nE\nF=$A\n',
        "b.env": b"A=3=4\nG=\n",
    }
    found = service(text, files=files, C="c", D="d", G="g").task.container.env
    assert ["A=3=4", "B=mine", "C=c", "D=d", "F=$A", "G=g"] == list(found)


@pytest.mark.parametrize("line", [b"=x", b"a b=c", b"\xff"])
def test_a_damaged_env_file_is_told_with_its_line(line: bytes):
    said = refused("services: {w: {image: host, env_file: e}}", files={"e": b"A=1\n" + line})
    assert said.startswith("/srv/e:2: ")


def test_variables_make_numbers_and_truths_where_those_belong():
    text = """
        tty: ${T}
        deploy: {replicas: "${N}", update_config: {max_failure_ratio: "${R}"}}
        ports: ["${P}:80"]
        healthcheck: {retries: "${N}", disable: "${F}"}
        init: ${UNSET}
    """
    below = ""
    with pytest.raises(Exception, match="init: must be true or false, not the text ''"):
        service(text, below, T="yes", N="3", R=".5", P="8080", F="off")
    found = service(text.replace("${UNSET}", "${T}"), T="yes", N="3", R=".5", P="8080", F="off")
    assert (True, 3, 0.5, True) == (
        found.task.container.tty,
        found.replicated.replicas,
        found.update.max_failure_ratio,
        found.task.container.init.value,
    )
    assert 8080 == found.endpoint.ports[0].published_port
