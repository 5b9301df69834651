"""The compose file format, version 3: every key, what its value may be, and which mean nothing.

The one table: what is known, what is read over with a warning, what is refused and what to do
instead. `FILE` reads a whole file into its canonical form.
"""

from collections.abc import Mapping
from typing import Any, Final

from swarmd.ctl.compose import short_forms
from swarmd.ctl.compose.errors import ComposeError
from swarmd.ctl.compose.shapes import (
    Duration,
    Fields,
    Flag,
    ListOf,
    MapOf,
    Number,
    OneOf,
    Pairs,
    Shape,
    Size,
    Text,
    Turned,
    Whole,
)

VERSIONS: Final = ("3", *(f"3.{minor}" for minor in range(14)))
_NAMES: Final = r"[a-zA-Z0-9._-]+"
_INT32_MAX: Final = (1 << 31) - 1
_MOST_MODE: Final = 0o7777
_MOST_PORT: Final = short_forms.MOST_PORT

_TEXTS: Final = ListOf(Text())
_TEXT_OR_TEXTS: Final = ListOf(Text(), single=True)
_COMMAND: Final = OneOf({str: Turned(Text(), short_forms.words), list: _TEXTS})
_CORES: Final = Turned(OneOf({str: Text(), int: Whole(), float: Number()}), short_forms.cores)

_UPDATE: Final = Fields(
    {
        "parallelism": Whole(),
        "delay": Duration(),
        "failure_action": Text(("pause", "continue", "rollback")),
        "monitor": Duration(),
        "max_failure_ratio": Number(),
        "order": Text(("stop-first", "start-first")),
    }
)
_GENERIC: Final = Fields(
    {
        "discrete_resource_spec": Fields(
            {"kind": Text(), "value": Whole()}, required=("kind", "value")
        )
    },
    required=("discrete_resource_spec",),
)
_DEPLOY: Final = Fields(
    {
        "mode": Text(("replicated", "global", "replicated-job", "global-job")),
        "endpoint_mode": Text(("vip", "dnsrr"), folded=True),
        "replicas": Whole(),
        "labels": Pairs(),
        "update_config": _UPDATE,
        "rollback_config": _UPDATE,
        "resources": Fields(
            {
                "limits": Fields({"cpus": _CORES, "memory": Size(), "pids": Whole()}),
                "reservations": Fields(
                    {"cpus": _CORES, "memory": Size(), "generic_resources": ListOf(_GENERIC)},
                    ignored=frozenset({"devices"}),
                ),
            }
        ),
        "restart_policy": Fields(
            {
                "condition": Text(("none", "on-failure", "any")),
                "delay": Duration(),
                "max_attempts": Whole(),
                "window": Duration(),
            }
        ),
        "placement": Fields(
            {
                "constraints": _TEXTS,
                "preferences": ListOf(Fields({"spread": Text()}, required=("spread",))),
                "max_replicas_per_node": Whole(),
            }
        ),
    },
    nullable=True,
)

_PORT: Final = Fields(
    {
        "target": Whole(1, _MOST_PORT),
        "published": Whole(0, _MOST_PORT),
        "protocol": Text(short_forms.PROTOCOLS, folded=True),
        "mode": Text(("ingress", "host")),
    },
    required=("target",),
)
_VOLUME: Final = Fields(
    {
        "type": Text(("volume", "bind", "tmpfs", "npipe", "cluster")),
        "source": Text(),
        "target": Text(),
        "read_only": Flag(),
        "consistency": Text(("default", "consistent", "cached", "delegated")),
        "bind": Fields(
            {"propagation": Text(short_forms.PROPAGATIONS), "create_host_path": Flag()},
            ignored=frozenset({"selinux"}),
        ),
        "volume": Fields({"nocopy": Flag(), "subpath": Text()}),
        "tmpfs": Fields({"size": Size(), "mode": Whole(0, _MOST_MODE)}),
    },
    required=("type", "target"),
    short=short_forms.volume,
)
_REFERENCE: Final = Fields(
    {
        "source": Text(),
        "target": Text(),
        "uid": Text(),
        "gid": Text(),
        "mode": Whole(0, _MOST_MODE),
    },
    required=("source",),
    short=short_forms.source,
)
_ATTACHMENT: Final = Fields(
    {"aliases": _TEXTS, "driver_opts": Pairs()},
    ignored=frozenset({"ipv4_address", "ipv6_address"}),
    nullable=True,
)
_ULIMIT: Final = Turned(
    OneOf(
        {
            int: Whole(-1),
            str: Whole(-1),
            dict: Fields({"soft": Whole(-1), "hard": Whole(-1)}, required=("soft", "hard")),
        }
    ),
    lambda found: found if isinstance(found, dict) else {"soft": found, "hard": found},
)
_HEALTH: Final = Fields(
    {
        "disable": Flag(),
        "interval": Duration(),
        "timeout": Duration(),
        "start_period": Duration(),
        "start_interval": Duration(),
        "retries": Whole(0, _INT32_MAX),
        "test": OneOf({str: Turned(Text(), lambda text: ["CMD-SHELL", text]), list: _TEXTS}),
    }
)

_INSTEAD: Final = "set resource limits in deploy.resources"
_SERVICE: Final = Fields(
    {
        "cap_add": _TEXTS,
        "cap_drop": _TEXTS,
        "command": _COMMAND,
        "configs": ListOf(_REFERENCE),
        "credential_spec": Fields({"config": Text(), "file": Text(), "registry": Text()}),
        "deploy": _DEPLOY,
        "dns": _TEXT_OR_TEXTS,
        "dns_search": _TEXT_OR_TEXTS,
        "entrypoint": _COMMAND,
        "env_file": _TEXT_OR_TEXTS,
        "environment": Pairs(bare=True),
        "extra_hosts": Turned(OneOf({list: _TEXTS, dict: MapOf(Text())}), short_forms.hosts),
        "healthcheck": _HEALTH,
        "hostname": Text(),
        "image": Text(),
        "init": Flag(),
        "isolation": Text(("default", "process", "hyperv"), folded=True),
        "labels": Pairs(),
        "logging": Fields({"driver": Text(), "options": Pairs()}),
        "networks": OneOf(
            {
                list: Turned(
                    ListOf(Text(pattern=_NAMES)), lambda names: {name: {} for name in names}
                ),
                dict: MapOf(_ATTACHMENT, _NAMES),
            }
        ),
        "oom_score_adj": Whole(-1000, 1000),
        "ports": ListOf(_PORT, spread=short_forms.ports),
        "read_only": Flag(),
        "restart": Text(),
        "secrets": ListOf(_REFERENCE),
        "stdin_open": Flag(),
        "stop_grace_period": Duration(),
        "stop_signal": Text(),
        "sysctls": Pairs(),
        "tmpfs": _TEXT_OR_TEXTS,
        "tty": Flag(),
        "ulimits": MapOf(_ULIMIT, "[a-z]+"),
        "user": Text(),
        "volumes": ListOf(_VOLUME),
        "working_dir": Text(),
    },
    ignored=frozenset(
        {
            "build",
            "cgroup_parent",
            "cgroupns_mode",
            "container_name",
            "depends_on",
            "devices",
            "domainname",
            "expose",
            "external_links",
            "ipc",
            "links",
            "mac_address",
            "network_mode",
            "pid",
            "privileged",
            "security_opt",
            "shm_size",
            "userns_mode",
        }
    ),
    refused={
        "extends": "use an anchor (&name) and a merge (<<: *name)",
        "profiles": "keep such services in a file of their own",
        "scale": "set deploy.replicas",
        "volume_driver": "define a volume under the top-level volumes, with its driver",
        "volumes_from": "define a volume under the top-level volumes, and use it in each service",
        "cpu_quota": _INSTEAD,
        "cpu_shares": _INSTEAD,
        "cpus": _INSTEAD,
        "cpuset": _INSTEAD,
        "mem_limit": _INSTEAD,
        "mem_reservation": _INSTEAD,
        "memswap_limit": _INSTEAD,
        "pids_limit": _INSTEAD,
    },
)


_EXTERNAL: Final = OneOf({bool: Flag(), str: Flag(), dict: Fields({"name": Text()})})
_DRIVER: Final[Mapping[str, Shape]] = {"driver": Text(), "driver_opts": Pairs(), "labels": Pairs()}
_NETWORK: Final = Fields(
    {
        "name": Text(),
        "external": _EXTERNAL,
        "internal": Flag(),
        "attachable": Flag(),
        "ipam": Fields(
            {
                "driver": Text(),
                "config": ListOf(Fields({"subnet": Text(), "gateway": Text(), "ip_range": Text()})),
            }
        ),
        **_DRIVER,
    },
    nullable=True,
)
_KEPT: Final = Fields(
    {"name": Text(), "external": _EXTERNAL, **_DRIVER},
    ignored=frozenset({"x-cluster-spec"}),
    nullable=True,
)
_CONFIG: Final = Fields(
    {
        "name": Text(),
        "external": _EXTERNAL,
        "file": Text(),
        "labels": Pairs(),
        "template_driver": Text(),
    }
)
_SECRET: Final = Fields({**_CONFIG.known, **_DRIVER})


def _external(found: dict[str, Any]) -> dict[str, Any]:
    """`external: {name: x}` as `external: true` and `name: x`."""
    given = found.get("external")
    if not isinstance(given, dict):
        return found
    if "name" in given and "name" in found:
        raise ComposeError("external.name and name say the same thing: leave external.name out")
    return {**found, "external": True, **given}


def _section(shape: Fields) -> MapOf:
    return MapOf(Turned(shape, _external), _NAMES)


FILE: Final = Fields(
    {
        "version": Text(VERSIONS),
        "services": MapOf(_SERVICE, _NAMES),
        "networks": _section(_NETWORK),
        "volumes": _section(_KEPT),
        "secrets": _section(_SECRET),
        "configs": _section(_CONFIG),
    },
    refused={
        "name": "the stack's name is given on the command line",
        "include": "give each file with -c",
    },
)
