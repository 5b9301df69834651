"""Which service specs are refused, with which status and sentence."""

from typing import Any

import pytest

from swarmd.errors import Status
from tests.unit.manager.control.calls import INVALID, container, fault, spec
from workers.manager.control.service_checks import check_service_spec

CONFIG = {"config_id": "i", "config_name": "n", "file": {"name": "f"}}
SECRET = {"secret_id": "i", "secret_name": "n", "file": {"name": "f"}}
PAYLOAD = {"type_url": "type.x/y", "value": b"v"}
MALFORMED = {"seconds": 1, "nanos": -1}
MALFORMED_TOLD = "duration: seconds: 1, nanos: -1: seconds and nanos have different signs"
NOT_LISTED = "but that config isn't in config references with RuntimeTarget"
RATIO = "TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1"


def resources(kind: str = "limits", **values: Any) -> dict[str, Any]:
    return {"task": {"container": {"image": "i"}, "resources": {kind: values}}}


def restart(**values: Any) -> dict[str, Any]:
    return {"task": {"container": {"image": "i"}, "restart": values}}


def placement(*constraints: str) -> dict[str, Any]:
    return {"task": {"container": {"image": "i"}, "placement": {"constraints": constraints}}}


def generic(kind: str = "mykind", **payload: Any) -> dict[str, Any]:
    return {"task": {"generic": {"kind": kind, "payload": {**PAYLOAD, **payload}}}}


def health(**values: Any) -> dict[str, Any]:
    return container(healthcheck={"test": ["CMD", "true"], **values})


def endpoint(*ports: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"endpoint": {"ports": ports, **fields}}


def too_short(name: str) -> str:
    return f"ContainerSpec: {name} in HealthConfig cannot be less than 1ms"


REFUSED: list[tuple[dict[str, Any], str]] = [
    # names
    ({"name": ""}, "meta: name must be provided"),
    ({"name": "a.b"}, "name must be valid as a DNS name component"),
    ({"name": "-a"}, "name must be valid as a DNS name component"),
    ({"name": "a-"}, "name must be valid as a DNS name component"),
    ({"name": "a\n"}, "name must be valid as a DNS name component"),
    ({"name": "é"}, "name must be valid as a DNS name component"),
    ({"name": "a" * 64}, "name must be 63 characters or fewer"),
    # resources
    (resources(nano_cpus=999_999), "invalid cpu value 0.000999999: Must be at least 0.001"),
    (resources(nano_cpus=-1), "invalid cpu value -1e-09: Must be at least 0.001"),
    (
        resources("reservations", nano_cpus=1000),
        "invalid cpu value 1e-06: Must be at least 0.001",
    ),
    (resources(memory_bytes=(4 << 20) - 1), "invalid memory value 4194303: Must be at least 4MiB"),
    (
        resources("reservations", memory_bytes=1),
        "invalid memory value 1: Must be at least 4MiB",
    ),
    # restart
    (restart(delay={"seconds": -1}), "TaskSpec: restart-delay cannot be negative"),
    (restart(window={"nanos": -1}), "TaskSpec: restart-window cannot be negative"),
    # references
    (container(secrets=[{**SECRET, "secret_id": ""}]), "malformed secret reference"),
    (container(secrets=[{**SECRET, "secret_name": ""}]), "malformed secret reference"),
    (
        container(secrets=[{"secret_id": "i", "secret_name": "n"}]),
        "malformed secret reference, no target provided",
    ),
    (
        container(secrets=[{**SECRET, "file": {}}]),
        "malformed file secret reference, invalid target file name provided",
    ),
    (
        container(secrets=[{**SECRET, "secret_name": "a"}, {**SECRET, "secret_name": "b"}]),
        "secret references 'a' and 'b' have a conflicting target: 'f'",
    ),
    (container(configs=[{**CONFIG, "config_id": ""}]), "malformed config reference"),
    (
        container(configs=[{"config_id": "i", "config_name": "n"}]),
        "malformed config reference, no target provided",
    ),
    (
        container(configs=[{**CONFIG, "file": {}}]),
        "malformed file config reference, invalid target file name provided",
    ),
    (
        container(configs=[{**CONFIG, "config_name": "a"}, {**CONFIG, "config_name": "b"}]),
        "config references 'a' and 'b' have a conflicting target: 'f'",
    ),
    (
        container(privileges={"credential_spec": {"config": "c"}}),
        f"CredentialSpec references config 'c', {NOT_LISTED}",
    ),
    # runtime
    ({"task": {}}, "TaskSpec: missing runtime"),
    (generic("ab"), 'Generic runtime: Invalid name "ab"'),
    (generic("Container"), 'Generic runtime: "Container" is a reserved name'),
    (generic("ATTACHMENT"), 'Generic runtime: "ATTACHMENT" is a reserved name'),
    ({"task": {"generic": {"kind": "mykind"}}}, "Generic runtime is missing payload"),
    (generic(type_url=""), "Generic runtime is missing payload type"),
    (generic(value=b""), "Generic runtime has an empty payload"),
    # container
    (container(image=""), "ContainerSpec: image reference must be provided"),
    (
        container(image="image:bad:tag:"),
        'ContainerSpec: "image:bad:tag:" is not a valid repository/tag',
    ),
    (
        container(mounts=[{"target": "/a", "source": "x"}, {"target": "/a"}]),
        "ContainerSpec: duplicate mount point: /a",
    ),
    (
        container(mounts=[{"target": "/{{.Service.Name}}"}, {"target": "/servicename"}]),
        "ContainerSpec: duplicate mount point: /servicename",
    ),
    (health(interval={"nanos": 1000}), too_short("Interval")),
    (health(interval={"seconds": -1}), too_short("Interval")),
    (health(timeout={"nanos": 900_000}), too_short("Timeout")),
    (health(start_period={"nanos": 1}), too_short("StartPeriod")),
    (health(start_interval={"nanos": 1}), too_short("StartInterval")),
    (health(retries=-1), "ContainerSpec: Retries in HealthConfig cannot be negative"),
    # mode
    ({"mode": None}, "Unrecognized service mode"),
    ({"replicated": {"replicas": 2**64 - 1}}, "Number of replicas must be non-negative"),
    (
        {"replicated_job": {"max_concurrent": 2**63}},
        "Maximum concurrent jobs must not be negative",
    ),
    (
        {"replicated_job": {"total_completions": 2**63}},
        "Total completed jobs must not be negative",
    ),
    # update
    ({"update": {"delay": {"seconds": -1}}}, "TaskSpec: update-delay cannot be negative"),
    ({"update": {"monitor": {"seconds": -1}}}, "TaskSpec: update-monitor cannot be negative"),
    ({"update": {"max_failure_ratio": -0.1}}, RATIO),
    ({"update": {"max_failure_ratio": 1.01}}, RATIO),
    ({"update": {"max_failure_ratio": float("nan")}}, RATIO),
    ({"global_job": {}, "update": {"parallelism": 1}}, "Jobs may not have an update config"),
    (
        {"replicated_job": {}, "update": {"max_failure_ratio": 9}},
        "Jobs may not have an update config",
    ),
    # endpoint
    (
        endpoint({"published_port": 80}, {"published_port": 80, "publish_mode": "HOST"}),
        "EndpointSpec: duplicate published ports provided",
    ),
    (
        endpoint({"target_port": 80}, mode="DNSRR"),
        "EndpointSpec: port published with ingress mode can't be used with dnsrr mode",
    ),
]


@pytest.mark.parametrize(("fields", "sentence"), REFUSED)
def test_a_fault_is_an_invalid_argument(fields: dict[str, Any], sentence: str) -> None:
    assert (INVALID, sentence) == fault(check_service_spec, spec(**fields))


@pytest.mark.parametrize(
    ("fields", "status", "sentence"),
    [
        (restart(delay=MALFORMED), Status.UNKNOWN, MALFORMED_TOLD),
        (restart(window=MALFORMED), Status.UNKNOWN, MALFORMED_TOLD),
        (health(timeout=MALFORMED), Status.UNKNOWN, MALFORMED_TOLD),
        ({"update": {"monitor": MALFORMED}}, Status.UNKNOWN, MALFORMED_TOLD),
        (
            {"rollback": {"delay": MALFORMED}},
            Status.INTERNAL,
            f"error unmarshalling request: {MALFORMED_TOLD}",
        ),
        (
            placement("node.id"),
            Status.UNKNOWN,
            "constraint expected one operator from ==, !=",
        ),
        (placement("node.id==x", "1node==x"), Status.UNKNOWN, "key '1node' is invalid"),
        (
            {"task": {"attachment": {"container_id": "x"}}},
            Status.UNIMPLEMENTED,
            "RuntimeSpec: unimplemented runtime in service spec",
        ),
    ],
)
def test_some_faults_have_statuses_of_their_own(
    fields: dict[str, Any], status: Status, sentence: str
) -> None:
    assert (status, sentence) == fault(check_service_spec, spec(**fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "a" * 63},
        {"name": "A_b-c9"},
        resources(nano_cpus=1_000_000, memory_bytes=4 << 20),
        resources(nano_cpus=0, memory_bytes=0),
        resources("reservations", generic=[{"discrete_resource_spec": {"kind": "g", "value": -1}}]),
        restart(delay={}, condition="ANY"),
        placement("  node.id  !=  x  ", "node.colour==red"),
        container(configs=[CONFIG], secrets=[SECRET]),
        container(
            configs=[{"config_id": "c", "config_name": "n", "runtime": {}}],
            privileges={"credential_spec": {"config": "c"}},
        ),
        generic(),
        container(mounts=[{"target": "a"}, {"type": "TMPFS"}]),
        health(interval={}, retries=0),
        container(stop_grace_period={"seconds": -1}, pidsLimit=-5),
        {"global": {}},
        {"global_job": {}, "rollback": {"parallelism": 1}},
        {"replicated": {"replicas": 0}},
        {"update": {"max_failure_ratio": 1}},
        {"rollback": {"max_failure_ratio": 2, "delay": {"seconds": -1}}},
        endpoint({"published_port": 80}, {"published_port": 80, "protocol": "UDP"}),
        endpoint({"target_port": 80}, {"target_port": 80}),
        endpoint({"published_port": 80, "publish_mode": "HOST"}, mode="DNSRR"),
        endpoint({"published_port": 70000}),
        {"networks": [{"target": "nosuchnet"}]},
    ],
)
def test_whatever_clients_send_and_swarmkit_takes_is_taken(fields: dict[str, Any]) -> None:
    assert fault(check_service_spec, spec(**fields)) is None


def test_the_first_of_several_faults_is_told() -> None:
    ports = endpoint({"published_port": 1}, {"published_port": 1})
    faulty = spec(**container(image=""), update={"max_failure_ratio": 3}, **ports)
    told = [fault(check_service_spec, faulty)]
    faulty.task.container.image = "img"
    told.append(fault(check_service_spec, faulty))
    faulty.update.max_failure_ratio = 0
    told.append(fault(check_service_spec, faulty))
    assert [
        (INVALID, "ContainerSpec: image reference must be provided"),
        (INVALID, RATIO),
        (INVALID, "EndpointSpec: duplicate published ports provided"),
    ] == told


def test_references_are_looked_at_one_after_the_other() -> None:
    first, second = {"secret_id": "i", "secret_name": "n"}, {"secret_id": "i"}
    told = fault(check_service_spec, spec(**container(secrets=[first, second])))
    assert (INVALID, "malformed secret reference, no target provided") == told
