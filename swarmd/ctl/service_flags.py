"""The flags of `service create` and `service update`, by topic: SwarmKit's and Docker's.

SwarmKit's lists are parted by commas, and replace what was there; Docker's repeat, and its update
adds to a list (--env-add) or takes out of it (--env-rm). To create is to add to nothing.
"""

from collections.abc import Callable
from typing import Any, Final

import click

from swarmd.ctl.values import PairStrings, Strings

Command = Callable[..., Any]
_Count: Final = click.IntRange(min=0)
_Ratio: Final = click.FloatRange(min=0, max=1)


def _text(names: str, about: str, default: str | None = None) -> Command:
    shown = f"{about} (default: {default})" if default else about
    return click.option(*names.split(), help=shown)


def _list(names: str, about: str) -> Command:
    return click.option(*names.split(), type=Strings(), multiple=True, help=about)


def _pairs(names: str, about: str) -> Command:
    return click.option(*names.split(), type=PairStrings(), multiple=True, help=about)


def _many(names: str, about: str) -> Command:
    """One value each time: commas are part of it."""
    return click.option(*names.split(), multiple=True, help=about)


def _number(names: str, about: str, least: int = 0) -> Command:
    return click.option(*names.split(), type=click.IntRange(min=least), help=about)


def _switch(names: str, about: str) -> Command:
    long, *short = names.split()
    return click.option(f"{long}/--no-{long[2:]}", *short, default=None, help=about)


def _choice(names: str, *values: str, default: str = "") -> Command:
    shown = f"Default: {default}" if default else None
    return click.option(*names.split(), type=click.Choice(values), help=shown)


_THE: Final = {"update": "an update", "rollback": "a rollback"}


def _rollout(kind: str, *actions: str) -> tuple[Command, ...]:
    return (
        _number(
            f"--{kind}-parallelism", f"Tasks changed at once by {_THE[kind]} (0 = all; default: 1)"
        ),
        _text(f"--{kind}-delay", f"Delay between tasks of {_THE[kind]}", "0s"),
        _text(f"--{kind}-monitor", "Time after which a new task counts as sound", "5s"),
        click.option(
            f"--{kind}-max-failure-ratio", type=_Ratio, help="Share of tasks that may fail"
        ),
        _choice(f"--{kind}-on-failure --{kind}-failure-action", *actions, default="pause"),
        _choice(f"--{kind}-order", "stop-first", "start-first", default="stop-first"),
    )


_PROCESS: Final = (
    _text("--name", "Service name"),
    _pairs("-l --label", "Service labels (key=value)"),
    _text("--image", "Image; host runs the command on the node itself"),
    _text("--hostname", "Container hostname"),
    _list("--command", "Command, instead of the image's own"),
    _text("--entrypoint", "The same as one text, which is split as a shell does"),
    _list("--args", "Arguments of the command"),
    _pairs("-e --env", "Environment (key=value, or key for this command's own value)"),
    _text("-w --workdir --dir dir", "Working directory"),
    _text("-u --user", "User, as user or user:group"),
    _switch("--tty -t", "Open a tty on standard streams"),
    _switch("--open-stdin", "Open standard input"),
    _switch("--read-only", "Mount the root filesystem read-only"),
    _switch("--init", "Run an init in the container that reaps processes"),
    _text("--stop-signal", "Signal that stops a task"),
    _text("--stop-grace-period", "Time to stop before it is killed", "10s"),
    _choice("--isolation", "default", "process", "hyperv"),
    _text("--credential-spec", "For Windows: file://NAME, registry://NAME or config://NAME"),
    click.option("--oom-score-adj", type=click.IntRange(-1000, 1000), help="OOM score adjustment"),
    _many("--cap-add", "Add capabilities"),
    _many("--cap-drop", "Drop capabilities"),
)
_HEALTH: Final = (
    _text("--health-cmd", "Command that checks a task's health, run by a shell"),
    _text("--health-interval", "Time between health checks", "30s"),
    _text("--health-timeout", "Longest time of one health check", "30s"),
    _number("--health-retries", "Failures in a row that make a task unhealthy (default: 3)"),
    _text("--health-start-period", "Time to start before failures count", "0s"),
    _text("--health-start-interval", "Time between health checks until then", "5s"),
    click.option("--no-healthcheck", is_flag=True, default=None, help="No health check at all"),
)
_RESOURCES: Final = (
    _text(
        "--memory-reservation --reserve-memory memory_reservation", "Reserved memory (e.g. 512m)"
    ),
    _text("--memory-limit --limit-memory memory_limit", "Memory limit (e.g. 512m)"),
    _text("--cpu-reservation --reserve-cpu cpu_reservation", "Reserved CPU cores (e.g. 0.5)"),
    _text("--cpu-limit --limit-cpu cpu_limit", "Limit of CPU cores (e.g. 0.5)"),
    _number("--pids-limit --limit-pids pids_limit", "Most processes of a task (0 = unlimited)"),
    _text("--memory-swap", "Swap (e.g. 1g; -1 = unlimited); needs a memory limit"),
    _number("--memory-swappiness", "Swappiness (0-100; -1 = the engine's)", least=-1),
    _text("--generic-resources", "Reserved generic resources (e.g. gpu=3,fpga=1)"),
)
_PLACEMENT: Final = (
    _number("--replicas", "Number of replicas (default: 1); of a job, tasks to complete"),
    _number("--max-concurrent", "Most tasks of a job at once (default: --replicas)"),
    _number("--replicas-max-per-node", "Most replicas on one node (0 = unlimited)"),
    _list("--constraint", "Placement constraints (e.g. node.labels.key==value)"),
    _choice("--restart-condition", "none", "failure", "on-failure", "any", default="any"),
    _text("--restart-delay", "Delay between restarts", "5s"),
    _number("--restart-max-attempts", "Most restarts (0 = unlimited)"),
    _text("--restart-window", "Time in which restarts count", "0s"),
    *_rollout("update", "pause", "continue", "rollback"),
    *_rollout("rollback", "pause", "continue"),
)
_OUTSIDE: Final = (
    _list("--ports", "Ports published on the node: name:port[/protocol][:node port]"),
    _choice("--endpoint-mode", "vip", "dnsrr", default="vip"),
    _list("--bind", "Bind mounts (source:target)"),
    _list("--volume", "Volume mounts (target)"),
    _many("--tmpfs", "Tmpfs mount (target[:size=64m,mode=1777,…])"),
    _list("--npipe", "Named-pipe mounts (source:target)"),
    _text("--log-driver", "Log driver"),
    _pairs("--log-opt", "Options of the log driver (key=value)"),
    click.option("--with-registry-auth", is_flag=True, help="Send `docker login`'s credentials"),
    click.option("--no-resolve-image", is_flag=True, help="Taken as is: no image is resolved"),
)
_SHARED: Final = (*_PROCESS, *_HEALTH, *_RESOURCES, *_PLACEMENT, *_OUTSIDE)

# Docker's lists, and what they are about: create has --X, update --X-add and --X-rm.
_LISTS: Final = {
    "container-label": "Container labels (key=value)",
    "dns": "DNS servers",
    "dns-option": "DNS options",
    "dns-search": "DNS search domains",
    "generic-resource": "Generic resources (e.g. gpu=3)",
    "group": "Supplementary groups",
    "host": "Names for addresses (host:ip)",
    "mount": "Mounts (type=volume,source=NAME,target=PATH,…)",
    "placement-pref": "Placement preferences (e.g. spread=node.labels.zone)",
    "publish": "Published ports (8080:80, or published=8080,target=80,mode=host)",
    "sysctl": "Kernel parameters (key=value)",
}
_SHORT: Final = {"publish": "-p "}

_CREATE: Final = (
    *(
        _many(f"{_SHORT.get(name, '')}--{name} {name.replace('-', '_')}_add", about)
        for name, about in _LISTS.items()
    ),
    click.option(
        "--mode",
        type=click.Choice(("replicated", "global", "replicated-job", "global-job")),
        default="replicated",
        show_default=True,
        help="What runs: so many tasks, one on each node, or tasks that end",
    ),
    _list("--ulimit ulimit_add", "Ulimits (name=soft[:hard])"),
    _many("--env-file", "Files of environment variables"),
    _list("--secret secret_add", "Secrets (name[:target], or source=NAME,target=FILE,mode=0400)"),
    _list("--config config_add", "Configs (name[:target], or source=NAME,target=FILE,mode=0400)"),
    _many("--network network_add", "Networks (name, or name=NAME,alias=NAME)"),
)

_UPDATE: Final = (
    *(_many(f"--{name}-add", about) for name, about in _LISTS.items()),
    *(_many(f"--{name}-rm", f"Take out: {about}") for name, about in _LISTS.items()),
    _pairs("--label-add", "Add service labels (key=value)"),
    _many("--label-rm", "Remove service labels, by key"),
    _pairs("--env-add", "Add to the environment (key=value)"),
    _many("--env-rm", "Remove from the environment, by key"),
    _many("--constraint-add", "Add placement constraints"),
    _many("--constraint-rm", "Remove placement constraints"),
    _list("--ulimit", "Ulimits (name=soft[:hard]), in place of all"),
    _list("--ulimit-add", "Add ulimits (name=soft[:hard])"),
    _list("--ulimit-rm", "Remove ulimits, by name"),
    _list("--add-secret --secret-add secret_add", "Add secrets (as `create --secret`)"),
    _list("--rm-secret --secret-rm secret_rm", "Remove secrets"),
    _list("--add-config --config-add config_add", "Add configs (as `create --config`)"),
    _list("--rm-config --config-rm config_rm", "Remove configs"),
    _text("--network", "Network name, in place of all"),
    _many("--network-add", "Add networks (name, or name=NAME,alias=NAME)"),
    _many("--network-rm", "Remove networks"),
    _list("--add-capability", "Add capabilities"),
    _list("--rm-capability", "Drop capabilities"),
    click.option("--force", is_flag=True, help="Replace the tasks even if nothing has changed"),
    click.option("--rollback", is_flag=True, help="Go back to the spec before the last update"),
)

_WAITING: Final = (
    click.option("-d", "--detach", is_flag=True, help="Do not wait until the service is as asked"),
    click.option("-q", "--quiet", is_flag=True, help="Do not show how far it is"),
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
