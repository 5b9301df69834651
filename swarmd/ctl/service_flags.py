"""The flags of `service create` and `service update`, by topic."""

from collections.abc import Callable
from typing import Any, Final

import click

from swarmd.ctl.values import Strings

Command = Callable[..., Any]
_Count: Final = click.IntRange(min=0)


def _text(name: str, about: str, default: str | None = None) -> Command:
    shown = f"{about} (default: {default})" if default else about
    return click.option(f"--{name}", help=shown)


def _list(name: str, about: str) -> Command:
    return click.option(f"--{name}", type=Strings(), multiple=True, help=about)


def _number(name: str, about: str) -> Command:
    return click.option(f"--{name}", type=_Count, help=about)


def _switch(name: str, about: str) -> Command:
    return click.option(f"--{name}/--no-{name}", default=None, help=about)


_ON_FAILURE: Final = click.Choice(("pause", "continue", "rollback"))
_ROLLBACK_ON_FAILURE: Final = click.Choice(("pause", "continue"))
_ORDER: Final = click.Choice(("stop-first", "start-first"))
_CONDITION: Final = click.Choice(("none", "failure", "any"))

_SHARED: Final = (
    _text("name", "Service name"),
    _list("label", "Service labels (key=value)"),
    _number("replicas", "Number of replicas (default: 1)"),
    _number("replicas-max-per-node", "Most replicas on one node (0 = unlimited)"),
    _text("image", "Image; host runs the command on the node itself"),
    _text("hostname", "Container hostname"),
    _list("command", "Command, instead of the image's own"),
    _list("args", "Arguments of the command"),
    _list("env", "Environment (key=value)"),
    _text("dir", "Working directory"),
    _text("user", "User, as user or user:group"),
    _switch("tty", "Open a tty on standard streams"),
    _switch("open-stdin", "Open standard input"),
    _text("stop-signal", "Signal that stops a task"),
    _text("stop-grace-period", "Time to stop before it is killed", "10s"),
    _text("health-cmd", "Command that checks a task's health, run by a shell"),
    _text("health-interval", "Time between health checks", "30s"),
    _text("health-timeout", "Longest time of one health check", "30s"),
    _number("health-retries", "Failures in a row that make a task unhealthy (default: 3)"),
    _text("health-start-period", "Time to start before failures count", "0s"),
    click.option("--no-healthcheck", is_flag=True, default=None, help="No health check at all"),
    _list("ports", "Ports published on the node: name:port[/protocol][:node port]"),
    _text("network", "Network name"),
    _text("memory-reservation", "Reserved memory (e.g. 512m)"),
    _text("memory-limit", "Memory limit (e.g. 512m)"),
    _text("cpu-reservation", "Reserved CPU cores (e.g. 0.5)"),
    _text("cpu-limit", "Limit of CPU cores (e.g. 0.5)"),
    _number("pids-limit", "Most processes of a task (0 = unlimited)"),
    _text("generic-resources", "Reserved generic resources (e.g. gpu=3,fpga=1)"),
    _list("ulimit", "Ulimits (name=soft[:hard])"),
    _number("update-parallelism", "Tasks updated at once (0 = all)"),
    _text("update-delay", "Delay between task updates", "0s"),
    _text("update-monitor", "Time after which an updated task counts as sound", "5s"),
    click.option(
        "--update-max-failure-ratio",
        type=click.FloatRange(min=0, max=1),
        help="Share of tasks that may fail in an update",
    ),
    click.option("--update-on-failure", type=_ON_FAILURE, help="Default: pause"),
    click.option("--update-order", type=_ORDER, help="Default: stop-first"),
    _number("rollback-parallelism", "Tasks rolled back at once (0 = all)"),
    _text("rollback-delay", "Delay between tasks rolled back", "0s"),
    click.option("--rollback-on-failure", type=_ROLLBACK_ON_FAILURE, help="Default: pause"),
    click.option("--rollback-order", type=_ORDER, help="Default: stop-first"),
    click.option("--restart-condition", type=_CONDITION, help="Default: any"),
    _text("restart-delay", "Delay between restarts", "5s"),
    _number("restart-max-attempts", "Most restarts (0 = unlimited)"),
    _text("restart-window", "Time in which restarts count", "0s"),
    click.option("--oom-score-adj", type=click.IntRange(-1000, 1000), help="OOM score adjustment"),
    _list("constraint", "Placement constraints (e.g. node.labels.key==value)"),
    _list("placement-pref", "Placement preferences (e.g. spread=node.labels.zone)"),
    _list("bind", "Bind mounts (source:target)"),
    _list("volume", "Volume mounts (target)"),
    click.option("--tmpfs", multiple=True, help="Tmpfs mount (target[:size=64m,mode=1777,…])"),
    _list("npipe", "Named-pipe mounts (source:target)"),
    _text("log-driver", "Log driver"),
    _list("log-opt", "Options of the log driver (key=value)"),
    _switch("init", "Run an init in the container that reaps processes"),
)

_CREATE: Final = (
    click.option(
        "--mode",
        type=click.Choice(("replicated", "global")),
        default="replicated",
        show_default=True,
        help="One of replicated, global",
    ),
    _list("secret", "Secrets (name[:target])"),
    _list("config", "Configs (name[:target])"),
)

_UPDATE: Final = (
    _list("add-secret", "Add secrets (name[:target])"),
    _list("rm-secret", "Remove secrets"),
    _list("add-config", "Add configs (name[:target])"),
    _list("rm-config", "Remove configs"),
    _list("add-capability", "Add capabilities"),
    _list("rm-capability", "Drop capabilities"),
    click.option("--force", is_flag=True, help="Replace the tasks even if nothing has changed"),
)

_WAITING: Final = (
    click.option("-d", "--detach", is_flag=True, help="Do not wait until the service is as asked"),
    click.option(
        "--timeout",
        "most_seconds",
        type=click.FloatRange(min=0, min_open=True),
        help="Longest time to wait, in seconds (default: as long as it takes)",
    ),
)


def _with(options: tuple[Command, ...]) -> Callable[[Command], Command]:
    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


waiting_options: Final = _with(_WAITING)
create_options: Final = _with(_SHARED + _CREATE + _WAITING)
update_options: Final = _with(_SHARED + _UPDATE + _WAITING)
