"""Every flag of Docker's pages is one of ours, with the same short form."""

import shlex
from pathlib import Path

import click
import pytest

from swarmd.ctl.main import main

FLAGS = {
    "service create": (
        "--cap-add, --cap-drop, --config, --constraint, --container-label, --credential-spec, -d "
        "--detach, --dns, --dns-option, --dns-search, --endpoint-mode, --entrypoint, -e --env, "
        "--env-file, --generic-resource, --group, --health-cmd, --health-interval, "
        "--health-retries, --health-start-interval, --health-start-period, --health-timeout, "
        "--host, --hostname, --init, --isolation, -l --label, --limit-cpu, --limit-memory, "
        "--limit-pids, --log-driver, --log-opt, --max-concurrent, --memory-swap, "
        "--memory-swappiness, --mode, --mount, --name, --network, --no-healthcheck, "
        "--no-resolve-image, --oom-score-adj, --placement-pref, -p --publish, -q --quiet, "
        "--read-only, --replicas, --replicas-max-per-node, --reserve-cpu, --reserve-memory, "
        "--restart-condition, --restart-delay, --restart-max-attempts, --restart-window, "
        "--rollback-delay, --rollback-failure-action, --rollback-max-failure-ratio, "
        "--rollback-monitor, --rollback-order, --rollback-parallelism, --secret, "
        "--stop-grace-period, --stop-signal, --sysctl, -t --tty, --ulimit, --update-delay, "
        "--update-failure-action, --update-max-failure-ratio, --update-monitor, --update-order, "
        "--update-parallelism, -u --user, --with-registry-auth, -w --workdir"
    ),
    "service update": (
        "--args, --cap-add, --cap-drop, --config-add, --config-rm, --constraint-add, "
        "--constraint-rm, --container-label-add, --container-label-rm, --credential-spec, -d "
        "--detach, --dns-add, --dns-option-add, --dns-option-rm, --dns-rm, --dns-search-add, "
        "--dns-search-rm, --endpoint-mode, --entrypoint, --env-add, --env-rm, --force, "
        "--generic-resource-add, --generic-resource-rm, --group-add, --group-rm, --health-cmd, "
        "--health-interval, --health-retries, --health-start-interval, --health-start-period, "
        "--health-timeout, --host-add, --host-rm, --hostname, --image, --init, --isolation, "
        "--label-add, --label-rm, --limit-cpu, --limit-memory, --limit-pids, --log-driver, "
        "--log-opt, --max-concurrent, --memory-swap, --memory-swappiness, --mount-add, "
        "--mount-rm, --network-add, --network-rm, --no-healthcheck, --no-resolve-image, "
        "--oom-score-adj, --placement-pref-add, --placement-pref-rm, --publish-add, --publish-rm, "
        "-q --quiet, --read-only, --replicas, --replicas-max-per-node, --reserve-cpu, "
        "--reserve-memory, --restart-condition, --restart-delay, --restart-max-attempts, "
        "--restart-window, --rollback, --rollback-delay, --rollback-failure-action, "
        "--rollback-max-failure-ratio, --rollback-monitor, --rollback-order, "
        "--rollback-parallelism, --secret-add, --secret-rm, --stop-grace-period, --stop-signal, "
        "--sysctl-add, --sysctl-rm, -t --tty, --ulimit-add, --ulimit-rm, --update-delay, "
        "--update-failure-action, --update-max-failure-ratio, --update-monitor, --update-order, "
        "--update-parallelism, -u --user, --with-registry-auth, -w --workdir"
    ),
    "service ls": "-f --filter, --format, -q --quiet",
    "service ps": "-f --filter, --format, --no-resolve, --no-trunc, -q --quiet",
    "service inspect": "-f --format, --pretty",
    "service scale": "-d --detach",
    "service rollback": "-d --detach, -q --quiet",
    "service logs": (
        "--details, -f --follow, --no-resolve, --no-task-ids, --no-trunc, --raw, --since, -n "
        "--tail, -t --timestamps"
    ),
    "service rm": "",
    "node ls": "-f --filter, --format, -q --quiet",
    "node ps": "-f --filter, --format, --no-resolve, --no-trunc, -q --quiet",
    "node inspect": "-f --format, --pretty",
    "node update": "--availability, --label-add, --label-rm, --role",
    "node rm": "-f --force",
    "node promote": "",
    "node demote": "",
    "secret create": "-d --driver, -l --label, --template-driver",
    "secret ls": "-f --filter, --format, -q --quiet",
    "secret inspect": "-f --format, --pretty",
    "secret rm": "",
    "config create": "-l --label, --template-driver",
    "config ls": "-f --filter, --format, -q --quiet",
    "config inspect": "-f --format, --pretty",
    "config rm": "",
}


@pytest.mark.parametrize("command", FLAGS)
def test_a_command_has_each_flag_of_dockers(command: str) -> None:
    ours: click.Command = main
    for word in command.split():
        assert isinstance(ours, click.Group)
        found = ours.get_command(click.Context(ours), word)
        assert found is not None
        ours = found
    options = [{*one.opts, *one.secondary_opts} for one in ours.params]
    for flag in filter(None, FLAGS[command].split(", ")):
        assert any(set(flag.split()) <= names for names in options), flag


def _commands(group: click.Command, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(group, click.Group):
        return [path]
    found = ((name, group.commands[name]) for name in group.commands)
    return [one for name, command in found for one in _commands(command, (*path, name))]


@pytest.mark.parametrize("path", _commands(main), ids=" ".join)
def test_each_example_of_a_help_is_one_that_is_understood(
    path: tuple[str, ...], tmp_path: Path
) -> None:
    there = tmp_path / "file"  # for each that an example takes for granted
    there.touch()
    command: click.Command = main
    for name in path:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    for line in getattr(command, "examples", "").strip().splitlines():
        piped = [shlex.split(part) for part in line.split(" | ")]
        ours = [rest for first, *rest in piped if first == "swarmctl"]
        assert ours, line
        for words in ours:
            _parse(main, [str(there) if one.startswith(("./", "/")) else one for one in words])


def _parse(command: click.Command, words: list[str]) -> None:
    """Raises UsageError for a flag or a command that is none."""
    with command.make_context(command.name, words) as context:  # which closes what it opened
        if not isinstance(command, click.Group):
            return
        name, found, rest = command.resolve_command(context, context._protected_args + context.args)
        assert found is not None, name
        _parse(found, rest)
