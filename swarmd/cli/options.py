"""The options of a node, spelt as the Go swarmd spells them.

Each can be given as a flag, as a `SWARMD_*` variable or as a key of the TOML file that `--config`
names, in that order of precedence. The key of `--state-dir` is `state-dir`.
"""

import os
import re
import socket
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

from swarmd.config import (
    DEFAULT_CONTROL_SOCKET,
    DEFAULT_QUOTA_BYTES,
    DEFAULT_REMOTE_API,
    DEFAULT_STATE_DIR,
    NodeConfig,
)
from swarmd.errors import InvalidArgumentError
from swarmd.logs import LEVELS
from swarmd.security import unlock_key
from swarmd.state_dir import StateDir

DEFAULT_CONFIG: Final = Path("/etc/swarmd/swarmd.toml")
_MANY: Final = frozenset({"engine_addr", "csi_plugin", "external_ca", "label"})

_HEARTBEATS_TO_ELECT: Final = 6
_LEAST_QUOTA: Final = 16 << 20
_EXPLICIT: Final = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
LIVE: Final = frozenset({"log_level"})
"""What a reload changes in a running node."""

Command = Callable[..., Any]


class Address(click.ParamType[str]):
    """host:port, as the Go programs take it; an empty host means every address."""

    name = "host:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        match = re.fullmatch(r"(?P<host>\[[0-9a-fA-F:]+\]|[^:\[\]]*):(?P<port>\d{1,5})", str(value))
        if match is None or int(match["port"]) > 65535:  # noqa: PLR2004 - the highest port
            self.fail(f"{value!r} is not HOST:PORT, such as 0.0.0.0:4242", param, ctx)
        return str(value)


class Socket(click.ParamType[Path]):
    """The path of a unix socket, with or without unix:// before it."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        text = str(value).removeprefix("unix://")
        if not text:
            self.fail("an empty path cannot be a socket", param, ctx)
        return Path(text).absolute()


class Directory(click.ParamType[Path]):
    """A directory that need not be there yet, made absolute."""

    name = "directory"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if not str(value):
            self.fail("an empty path cannot be a directory", param, ctx)
        return Path(value).absolute()


def read_config_file(path: Path) -> dict[str, Any]:
    """The file's settings, named as in NodeConfig; raises click.BadParameter naming the file."""
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise click.BadParameter(f"{path}: {error}") from error
    known = NodeConfig.__dataclass_fields__
    for key in settings:
        if key.replace("-", "_") not in known:
            raise click.BadParameter(f"{path}: no option is named {key!r}")
    return {key.replace("-", "_"): value for key, value in settings.items()}


def _read_config(ctx: click.Context, _: click.Parameter, value: Path | None) -> Path | None:
    path = value or (DEFAULT_CONFIG if DEFAULT_CONFIG.is_file() else None)
    if path is not None:
        ctx.default_map = read_config_file(path)
    return path


def _check_labels(
    ctx: click.Context, param: click.Parameter, value: tuple[str, ...]
) -> tuple[str, ...]:
    for label in value:
        if not re.fullmatch(r"[^\s=]+(=\S*)?", label):
            raise click.BadParameter(f"{label!r} is not key=value without spaces", ctx, param)
    return value


def _check_plugins(
    ctx: click.Context, param: click.Parameter, value: tuple[str, ...]
) -> tuple[str, ...]:
    """NAME=/path each, made absolute; one name is one plugin."""
    found: dict[str, str] = {}
    for text in value:
        name, _, path = text.partition("=")
        path = path.removeprefix("unix://")
        if not (re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", name) and path):
            raise click.BadParameter(f"{text!r} is not NAME=/path/of/its.sock", ctx, param)
        if name in found:
            raise click.BadParameter(f"plugin {name} is given twice", ctx, param)
        found[name] = str(Path(path).absolute())
    return tuple(f"{name}={path}" for name, path in found.items())


def _option(*names: str, **settings: Any) -> Callable[[Command], Command]:
    long = next(name for name in names if name.startswith("--"))
    variable = "SWARMD_" + long.removeprefix("--").replace("-", "_").upper()
    return click.option(*names, envvar=variable, show_envvar=True, **settings)


CONFIG_OPTION: Final = _option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_read_config,
    is_eager=True,
    help=f"Read options from this TOML file (default: {DEFAULT_CONFIG}, where it exists).",
)
STATE_DIR_OPTION: Final = _option(
    "--state-dir",
    "-d",
    type=Directory(),
    default=DEFAULT_STATE_DIR,
    show_default=True,
    help="State directory.",
)

_NODE_OPTIONS: Final = (
    CONFIG_OPTION,
    STATE_DIR_OPTION,
    _option(
        "--log-level",
        "-l",
        type=click.Choice(tuple(LEVELS), case_sensitive=False),
        default="info",
        show_default=True,
        help="Log level.",
    ),
    _option(
        "--log-format",
        type=click.Choice(("text", "json")),
        default="text",
        show_default=True,
        help="A line of key=value pairs, or a JSON object a line.",
    ),
    _option("--hostname", default=socket.gethostname, help="Override the node's host name."),
    _option(
        "--listen-control-api",
        type=Socket(),
        default=DEFAULT_CONTROL_SOCKET,
        show_default=True,
        help="Unix socket of the control API.",
    ),
    _option(
        "--listen-remote-api",
        type=Address(),
        default=DEFAULT_REMOTE_API,
        show_default=True,
        help="Address of the API for other nodes.",
    ),
    _option(
        "--advertise-remote-api",
        default="",
        help="Address that other nodes should use instead of the one listened on.",
    ),
    _option("--listen-metrics", default="", help="Address of Prometheus metrics, /metrics."),
    _option("--listen-debug", default="", help="Address of the debug pages, /debug/."),
    _option(
        "--engine-addr",
        multiple=True,
        help="Engine for tasks: supervisor://, unix://… or tcp://…; may repeat. Default: all here.",
    ),
    _option(
        "--csi-plugin",
        multiple=True,
        callback=_check_plugins,
        help="CSI plugin for cluster volumes, NAME=/path/of/its.sock; may repeat.",
    ),
    _option(
        "--generic-node-resources",
        default="",
        help='Resources of this node that services may reserve, as "fpga=2,gpu=UUID1,gpu=UUID2".',
    ),
    _option(
        "--label",
        multiple=True,
        callback=_check_labels,
        help="Label key=value of this node, for constraints on engine.labels.key. May repeat.",
    ),
    _option("--join-addr", default="", help="Join the cluster of the manager at this address."),
    _option("--join-token", default="", help="Token of the cluster to join; all users can see it."),
    _option(
        "--join-token-file",
        type=click.Path(dir_okay=False, allow_dash=True),
        help="Read the token from this file, or from standard input (-).",
    ),
    _option(
        "--availability",
        type=click.Choice(("active", "pause", "drain"), case_sensitive=False),
        default="active",
        show_default=True,
        help="Whether a node that joins gets tasks at once.",
    ),
    _option("--force-new-cluster", is_flag=True, help="Make a cluster of this manager alone."),
    _option(
        "--heartbeat-tick",
        type=click.FloatRange(min=0, min_open=True),
        default=0.1,
        show_default=True,
        help="Seconds between heartbeats of the managers' quorum.",
    ),
    _option(
        "--election-tick",
        type=click.FloatRange(min=0, min_open=True),
        default=None,
        show_default="six heartbeats",
        help="Seconds without a leader after which managers elect another.",
    ),
    _option(
        "--store",
        type=click.Choice(("auto", "sqlite", "etcd")),
        default="auto",
        show_default=True,
        help="Where managers keep the store: auto begins with sqlite, one manager's own, and moves"
        " into etcd when a second manager joins.",
    ),
    _option(
        "--quota-backend-bytes",
        type=click.IntRange(min=_LEAST_QUOTA),
        default=DEFAULT_QUOTA_BYTES,
        show_default="8 GiB",
        help="Bytes for the store in the managers' etcd, the same on each of them; from 90 % in use"
        " on, what makes it larger is refused.",
    ),
    _option("--external-ca", multiple=True, help="External CA: protocol=cfssl,url=URL."),
    _option(
        "--root-ca-cert",
        type=click.Path(exists=True, dir_okay=False, resolve_path=True),
        default=None,
        help="At the first start of a cluster: its root CA's certificate (PEM).",
    ),
    _option(
        "--root-ca-key",
        type=click.Path(exists=True, dir_okay=False, resolve_path=True),
        default=None,
        help="The key of that root CA (PEM, not encrypted).",
    ),
    _option("--autolock", is_flag=True, help="Seal this manager's keys under an unlock key."),
    _option("--unlock-key", default="", help="The key that unlocks this manager."),
)


def node_options(command: Command) -> Command:
    """Give a click command every option of a node, in the order of --help."""
    for option in reversed(_NODE_OPTIONS):
        command = option(command)
    return command


def node_config(values: Mapping[str, Any]) -> NodeConfig:
    """What the options say; raises click.UsageError for what does not fit together."""
    heartbeat = values["heartbeat_tick"]
    election = values["election_tick"] or _HEARTBEATS_TO_ELECT * heartbeat
    if election <= heartbeat:
        raise click.UsageError("--election-tick must be more than --heartbeat-tick.")
    _check_unlock_key(values["unlock_key"])
    root = {name: values[name] or "" for name in ("root_ca_cert", "root_ca_key")}
    if len(list(filter(None, root.values()))) == 1:
        raise click.UsageError("--root-ca-cert and --root-ca-key go together: give both.")
    given = {name: values[name] for name in NodeConfig.__dataclass_fields__}
    given |= {**root, "election_tick": election, "join_token": _join_token(values)}
    return NodeConfig(**given)


def _check_unlock_key(text: str) -> None:
    try:
        if text:
            unlock_key.parse(text)
    except InvalidArgumentError as error:
        raise click.UsageError(f"--unlock-key: {error}") from error


def _join_token(values: Mapping[str, Any]) -> str:
    """The token from where it was given; raises click.UsageError where no address goes with it."""
    address, token, path = (values[name] for name in ("join_addr", "join_token", "join_token_file"))
    if token and path:
        raise click.UsageError("--join-token and --join-token-file exclude each other.")
    if path:
        try:
            with click.open_file(path) as file:
                token = file.read().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise click.UsageError(f"--join-token-file: {error}") from error
    if bool(address) != bool(token) and not (address and _is_member(values["state_dir"])):
        raise click.UsageError("--join-addr and a join token go together: give both.")
    if address:
        Address().convert(address, None, None)
    return str(token)


def _is_member(state_dir: Path) -> bool:
    """Of a cluster, whose managers may have other addresses now: its certificate is enough."""
    return StateDir(state_dir).node_certificate.exists()


def with_live_changes(config: NodeConfig, ctx: click.Context) -> NodeConfig:
    """The options as they are now, for those that can change while the node runs.

    A flag or variable stays what it was; the file is read again. Raises click.ClickException.
    """
    path: Path | None = ctx.params["config"]
    settings = read_config_file(path) if path else {}
    changes = {}
    for option in ctx.command.params:
        name = option.name or ""
        if name in LIVE and name in settings and ctx.get_parameter_source(name) not in _EXPLICIT:
            changes[name] = option.type_cast_value(ctx, settings[name])
    return replace(config, **changes)


def environment(ctx: click.Context) -> dict[str, str]:
    """The options that were given to this command, as the variables that give them to another.

    Defaults are left out; paths of files are absolute.
    """
    given: dict[str, str] = {}
    for option in ctx.command.params:
        name, variable = option.name or "", option.envvar
        if not isinstance(variable, str) or ctx.get_parameter_source(name) not in _EXPLICIT:
            continue
        value = ctx.params[name]
        if name == "unlock_key":
            raise click.UsageError("--unlock-key: it would lie on the disk; use `swarmd unlock`.")
        if name == "config":
            value = Path(value).absolute()
        given[variable] = " ".join(value) if name in _MANY else str(value)
    return given


def without_options(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment without any SWARMD_ option, for a process that gets its own."""
    variables = os.environ if variables is None else variables
    return {name: value for name, value in variables.items() if not name.startswith("SWARMD_")}
