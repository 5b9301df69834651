"""start, stop, restart, reload: swarmd as a service of the supervisord beside it."""

import functools
import os
import signal
import sys
import threading
import time
import xmlrpc.client
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final

import click

from swarmd.cli import supervisord as sv
from swarmd.cli.containers import end_containers
from swarmd.cli.join_settings import VARIABLES, JoinSettings
from swarmd.cli.logs import last_lines, log_path
from swarmd.cli.node_report import NodeReport
from swarmd.cli.options import (
    CONFIG_OPTION,
    STATE_DIR_OPTION,
    environment,
    node_config,
    node_options,
)
from swarmd.config import NodeConfig
from swarmd.errors import ExitStatus, UnavailableError
from swarmd.state_dir import StateDir, supervisord_socket

_POLL_SECONDS: Final = 0.05
_END_SECONDS: Final = 10.0
_ENDED: Final = frozenset({"FATAL", "EXITED", "STOPPED", "UNKNOWN"})


def timeout_option(seconds: float, what: str) -> Callable[[Any], Any]:
    return click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        default=seconds,
        show_default=True,
        help=f"Seconds to wait until {what}.",
    )


@click.command()
@node_options
@timeout_option(60, "the node is ready")
@click.pass_context
def start(ctx: click.Context, /, timeout: float, **values: Any) -> None:
    """Start the node under supervisord, and wait until it is ready.

    Takes the options of `swarmd run`. A second start says that the node runs already.
    """
    config = node_config(values)
    state_dir = StateDir(config.state_dir)
    report = _settled(state_dir, time.monotonic() + timeout)
    if report.ready:
        click.echo(f"swarmd runs already: pid {report.pid}, node {report.facts.get('node_id')}")
        return
    supervisord = sv.Supervisord(supervisord_socket(state_dir.root))
    try:
        if not report.alive:
            start_node(supervisord, state_dir, kept_options(config, environment(ctx)))
    except (UnavailableError, OSError) as error:
        raise click.ClickException(str(error)) from error
    wait_ready(supervisord, state_dir, timeout)


def _settled(state_dir: StateDir, deadline: float) -> NodeReport:
    """The report of one that stays, or of none: who is on its way out is waited for."""
    _wait(lambda: not NodeReport.read(state_dir).leaves, deadline, "the swarmd before has not left")
    return NodeReport.read(state_dir)


def kept_options(config: NodeConfig, variables: Mapping[str, str]) -> dict[str, str]:
    """The options for supervisord.conf: those about joining go into a file of their own.

    What the --config file says stays there. Raises OSError.
    """
    if config.join_addr and not VARIABLES.isdisjoint(variables):
        JoinSettings.of(config).save(StateDir(config.state_dir))
    return {name: value for name, value in variables.items() if name not in VARIABLES}


def start_node(supervisord: sv.Supervisord, state_dir: StateDir, variables: dict[str, str]) -> None:
    if supervisord.answers():
        sv.start_program(supervisord, state_dir, variables)
    else:
        sv.launch(state_dir, variables)


def wait_ready(supervisord: sv.Supervisord, state_dir: StateDir, timeout: float) -> None:
    begin = time.monotonic()
    progress = _Progress("starting swarmd")
    while time.monotonic() < begin + timeout:
        report = NodeReport.read(state_dir)
        if report.ready:
            progress.end()
            spent = time.monotonic() - begin
            click.echo(f"swarmd is ready: node {report.facts.get('node_id')} ({spent:.1f} s)")
            return
        if report.alive and report.facts.get("phase") == "locked":
            progress.end()
            click.echo("swarmd runs, and is locked: unlock it with `swarmd unlock`")
            return
        progress.show(str(report.facts.get("reason") or "") if report.alive else "")
        _refuse_ended(supervisord, state_dir, progress)
        time.sleep(_POLL_SECONDS)
    progress.end()
    why = NodeReport.read(state_dir).facts.get("reason") or "no reason given"
    message = f"swarmd is not ready after {timeout:g} s: {why}; see `swarmd logs`"
    raise click.ClickException(message)


def _refuse_ended(supervisord: sv.Supervisord, state_dir: StateDir, progress: "_Progress") -> None:
    """Give up as soon as supervisord sees that swarmd ended, with swarmd's own last words."""
    try:
        info = supervisord.program()
    except UnavailableError:
        return
    if info is None or info["statename"] not in _ENDED | {"BACKOFF"} or not info["start"]:
        return
    if info["statename"] == "BACKOFF":
        supervisord.call("supervisor.stopProcess", sv.PROGRAM)
    progress.end()
    if not count_tasks(state_dir):
        # Nothing is left for it to do; a start after the mend brings another.
        end_supervisords(state_dir, time.monotonic() + _END_SECONDS)
    why = NodeReport.read(state_dir).facts.get("reason")
    lines = last_lines(log_path(state_dir), 1)
    raise click.ClickException(
        f"swarmd did not start: {why or ''.join(lines) or info['description']}"
    )


@click.command()
@CONFIG_OPTION
@STATE_DIR_OPTION
@click.option("--tasks", is_flag=True, help="Stop this node's tasks too; without it they go on.")
@timeout_option(60, "it has stopped")
def stop(config: Path | None, state_dir: Path, tasks: bool, timeout: float) -> None:  # noqa: ARG001
    """Stop the node cleanly, and wait until it has stopped.

    Its tasks go on, and the next start adopts them, unless --tasks is given.
    """
    place = StateDir(state_dir)
    deadline = time.monotonic() + timeout
    try:
        ran = stop_node(place, deadline)
        left = _stop_all(place, deadline) if tasks else count_tasks(place)
        if not left:
            end_supervisords(place, deadline)
    except (UnavailableError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo("swarmd is stopped" if ran else "swarmd is not running")
    if left:
        click.echo(
            f"{left} tasks go on: `swarmd start` adopts them, `swarmd stop --tasks` ends them"
        )


def _stop_all(place: StateDir, deadline: float) -> int:
    left = stop_tasks(place, deadline)
    end_containers(place, "stop", deadline)
    return left


def stop_node(place: StateDir, deadline: float) -> bool:
    """Whether one ran; returns when it has ended."""
    supervisord = sv.Supervisord(supervisord_socket(place.root))
    report = NodeReport.read(place)
    info = supervisord.program() if supervisord.answers() else None
    if info and info["statename"] in ("RUNNING", "STARTING", "BACKOFF"):
        supervisord.call("supervisor.stopProcess", sv.PROGRAM, False)
    elif report.pid:
        os.kill(report.pid, signal.SIGTERM)
    elif not report.alive:
        return False
    _wait(lambda: _has_ended(supervisord, place), deadline, "swarmd has not stopped")
    return True


def _has_ended(supervisord: sv.Supervisord, place: StateDir) -> bool:
    """Its lock is free, and its supervisord has noticed: only then can it be started again."""
    if NodeReport.read(place).alive:
        return False
    info = supervisord.program() if supervisord.answers() else None
    return info is None or info["statename"] != "STOPPING"


def _supervisords(place: StateDir) -> Iterator[sv.Supervisord]:
    """Those that may hold tasks: the one that runs swarmd, and the one brought by `swarmd run`."""
    for path in (supervisord_socket(place.root), place.own_supervisord_socket):
        supervisord = sv.Supervisord(path)
        if supervisord.answers():
            yield supervisord


def count_tasks(place: StateDir) -> int:
    """So many host processes of this node's tasks run."""
    running = ("RUNNING", "STARTING", "STOPPING")
    infos = (info for one in _supervisords(place) for info in one.tasks())
    return sum(info["statename"] in running for info in infos)


def stop_tasks(place: StateDir, deadline: float) -> int:
    for supervisord in _supervisords(place):
        try:
            _within(deadline, functools.partial(supervisord.call, "swarmd.stopAllTasks"))
        except xmlrpc.client.Fault as fault:
            message = f"the supervisord at {supervisord.socket_path} cannot stop tasks: {fault}"
            raise UnavailableError(message) from fault
    _wait(lambda: count_tasks(place) == 0, deadline, "tasks have not stopped")
    return 0


def _within(deadline: float, call: Callable[[], Any]) -> None:
    """Make a call that answers when all is done, and give up waiting for it at the deadline."""
    outcome: Future[Any] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except Exception as error:  # noqa: BLE001 - told to who waits
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        outcome.result(max(0.0, deadline - time.monotonic()))
    except TimeoutError as error:
        raise click.ClickException(
            "tasks have not stopped in time: each is killed when its grace period ends"
        ) from error


def end_supervisords(place: StateDir, deadline: float) -> None:
    """End the supervisords that were put in the background here: nothing is left for them to do."""
    for supervisord in _supervisords(place):
        conf = supervisord.conf()
        if conf is not None and place.root in conf.parents:
            supervisord.call("supervisor.shutdown")
            _wait(functools.partial(_is_gone, supervisord), deadline, "supervisord has not ended")


def _is_gone(supervisord: sv.Supervisord) -> bool:
    return not supervisord.answers()


@click.command()
@CONFIG_OPTION
@STATE_DIR_OPTION
@timeout_option(60, "the node is ready again")
def restart(config: Path | None, state_dir: Path, timeout: float) -> None:  # noqa: ARG001
    """Stop the node and start it again, with the options it was started with; its tasks go on."""
    place = StateDir(state_dir)
    supervisord = sv.Supervisord(supervisord_socket(place.root))
    try:
        if not supervisord.answers():
            message = f"no supervisord runs swarmd for {state_dir}: `swarmd start` starts one"
            raise click.ClickException(message)
        stop_node(place, time.monotonic() + timeout)
        supervisord.call("supervisor.startProcess", sv.PROGRAM, False)
    except (UnavailableError, OSError, xmlrpc.client.Fault) as error:
        raise click.ClickException(str(error)) from error
    wait_ready(supervisord, place, timeout)


@click.command()
@CONFIG_OPTION
@STATE_DIR_OPTION
def reload(config: Path | None, state_dir: Path) -> None:  # noqa: ARG001
    """Have the node read its configuration file again: the log level can change while it runs."""
    report = NodeReport.read(StateDir(state_dir))
    if not report.pid:
        click.echo("swarmd is not running", err=True)
        raise SystemExit(ExitStatus.STOPPED)
    os.kill(report.pid, signal.SIGHUP)
    click.echo(f"swarmd (pid {report.pid}) reads its configuration again")


def _wait(condition: Callable[[], bool], deadline: float, failure: str) -> None:
    while not condition():
        if time.monotonic() > deadline:
            message = f"{failure} in time: see `swarmd status` and `swarmd logs`"
            raise click.ClickException(message)
        time.sleep(_POLL_SECONDS)


class _Progress:
    """One line on a terminal, rewritten; nothing where there is no terminal."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._begin = time.monotonic()
        self._on = sys.stderr.isatty()

    def show(self, detail: str) -> None:
        if self._on:
            spent = time.monotonic() - self._begin
            text = f"{self._what} … {spent:.1f} s" + (f" ({detail})" if detail else "")
            click.echo(f"\r\033[K{text}", nl=False, err=True)

    def end(self) -> None:
        if self._on:
            click.echo("\r\033[K", nl=False, err=True)
