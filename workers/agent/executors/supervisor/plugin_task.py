"""A task as supervisord sees it: a program, its process, and the group of its service.

supervisord's own machinery does what it can: the states, the logs with their rotation, the stop
signal and the SIGKILL after it. What differs stands here: a task runs once, its process is known to
run when exec worked, and it has ended when no descendant is left. Runs inside supervisord.
"""

import contextlib
import os
import shlex
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from supervisor.events import ProcessCommunicationStderrEvent, ProcessCommunicationStdoutEvent
from supervisor.options import ProcessConfig, ProcessGroupConfig
from supervisor.process import ProcessGroup, Subprocess
from supervisor.states import ProcessStates, getProcessStateDescription

from workers.agent.executors.supervisor.cgroup import CgroupTree, TaskCgroup
from workers.agent.executors.supervisor.leftovers import INSTANCE_MARK, TASK_MARK
from workers.agent.executors.supervisor.messages import ProgramSettings, ProgramStatus
from workers.agent.executors.supervisor.plugin_child import HANDLED, Child, Descriptors
from workers.agent.executors.supervisor.plugin_output import TaskOutput
from workers.agent.executors.supervisor.plugin_zygote import NoZygoteError, Zygote

_SIGNAL_BASE: Final = 128
_PRIORITY: Final = 999  # supervisor's default
_MOVING: Final = (ProcessStates.STARTING, ProcessStates.BACKOFF, ProcessStates.STOPPING)


class TaskOptions:
    """supervisord's options, with a fork that is the task's own.

    And with a kill that reaches a child before it has a group of its own.
    """

    def __init__(self, options: Any) -> None:
        self._options = options
        self.fork: Callable[[], int] = options.fork

    def __getattr__(self, name: str) -> Any:
        return getattr(self._options, name)

    def kill(self, pid: int, number: int) -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            os.kill(abs(pid), number)


class Owner(Protocol):
    """Who holds all tasks: what a process needs of it, and tells it."""

    instance: str
    tree: CgroupTree
    zygote: Zygote

    def changed(self, process: "TaskProcess") -> None:
        """Its state is another."""

    def left(self, process: "TaskProcess") -> None:
        """Its process was reaped."""


class TaskConfig(ProcessConfig):  # type: ignore[misc]
    """The settings of a task in supervisord's words."""

    def __init__(self, options: Any, settings: ProgramSettings, owner: Owner) -> None:
        self.settings = settings
        self.owner = owner
        streams: dict[str, Any] = {}
        for stream, path in (("stdout", settings.stdout), ("stderr", settings.stderr)):
            streams |= {
                f"{stream}_logfile": path or None,
                f"{stream}_logfile_maxbytes": settings.log_bytes,
                f"{stream}_logfile_backups": settings.log_backups,
                f"{stream}_capture_maxbytes": 0,
                f"{stream}_events_enabled": False,
                f"{stream}_syslog": False,
            }
        super().__init__(
            TaskOptions(options),
            name=settings.name,
            command=shlex.join(settings.argv),
            uid=None,
            directory=settings.directory,
            umask=None,
            priority=_PRIORITY,
            autostart=False,
            autorestart=False,
            startsecs=0,
            startretries=0,
            stopsignal=settings.stop_signal,
            stopwaitsecs=settings.grace_seconds,
            stopasgroup=True,
            killasgroup=True,
            exitcodes=[0],
            redirect_stderr=False,
            **streams,
        )

    def make_process(self, group: Any = None) -> "TaskProcess":
        process = TaskProcess(self)
        process.group = group
        return process

    def make_dispatchers(self, process: "TaskProcess") -> tuple[dict[int, Any], dict[str, Any]]:
        """Like supervisord's, with /dev/null for stdin, and a pipe that tells when exec worked."""
        with contextlib.ExitStack() as undo:
            pipes = _open_pipes(undo, self.settings.stdin_open)
            out, err, result = pipes["stdout"], pipes["stderr"], pipes["exec"]
            dispatchers: dict[int, Any] = {
                out: TaskOutput(process, ProcessCommunicationStdoutEvent, out),
                err: TaskOutput(process, ProcessCommunicationStderrEvent, err),
                result: ExecDispatcher(process, result),
            }
            process.exec_pipe = dispatchers[result]
            undo.pop_all()
        return dispatchers, pipes


def _open_pipes(undo: contextlib.ExitStack, stdin_open: bool) -> dict[str, Any]:
    pipes: dict[str, Any] = {"stdin": None}
    for name in ("stdout", "stderr", "exec"):
        pipes[name], pipes[f"child_{name}"] = reader, writer = os.pipe()
        undo.callback(os.close, reader)
        undo.callback(os.close, writer)
        os.set_blocking(reader, False)
    if stdin_open:
        pipes["child_stdin"], pipes["stdin"] = reader, writer = os.pipe()
        undo.callback(os.close, writer)
    else:
        reader = pipes["child_stdin"] = os.open(os.devnull, os.O_RDONLY)
    undo.callback(os.close, reader)
    return pipes


class ExecDispatcher:
    """Reads the pipe that exec closes; a text in it says why exec was not reached."""

    def __init__(self, process: "TaskProcess", descriptor: int) -> None:
        self.process = process
        self.descriptor = descriptor
        self.closed = False

    def readable(self) -> bool:
        return not self.closed

    def writable(self) -> bool:
        return False

    def handle_read_event(self) -> None:
        try:
            text = os.read(self.descriptor, 4096)
        except BlockingIOError:
            return
        self.process.failure += text.decode(errors="replace")
        self.close()  # the child writes all of it at once, or nothing

    def handle_error(self) -> None:
        self.close()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            os.close(self.descriptor)
            self.process.dispatchers.pop(self.descriptor, None)  # its number is another's soon
            self.process.exec_is_over = True


class TaskProcess(Subprocess):  # type: ignore[misc]
    """The one run of a task."""

    pipes: dict[str, int]
    dispatchers: dict[int, Any]

    def __init__(self, config: TaskConfig) -> None:
        super().__init__(config)
        self.settings = config.settings
        self.cgroup: TaskCgroup | None = None
        self.number = 0  # of its last change
        self.exec_pipe: ExecDispatcher | None = None
        self.exec_is_over = False
        self.parent = 0
        self.wait_status = 0
        self.failure = ""
        self.settled = False  # nothing of it is left
        self.out_of_memory = False

    def spawn(self) -> int | None:
        """Fork and exec, once; how exec went is known a turn later."""
        if self.laststart or self.settled:
            self.spawnerr = "a task runs only once"
            return None
        signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
        try:
            pid = self._spawn()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        if pid is None:
            self.failure = self.spawnerr or "cannot fork"
        return pid

    def _spawn(self) -> int | None:
        try:
            Path(self.settings.started_mark).touch()
            self.cgroup = self.config.owner.tree.create(self.settings.id, self.settings.limits)
        except OSError as error:
            self._fail(f"cannot prepare its start: {error}")
            return None
        self.parent = os.getpid()
        self.config.options.fork = self._fork
        pid: int | None = super().spawn()
        if writer := self.pipes.pop("child_exec", None):
            os.close(writer)
        if pid is None:
            self._close_exec_pipe()
            self.pipes, self.dispatchers = {}, {}
        return pid

    def _fail(self, reason: str) -> None:
        self.laststart = time.time()
        self.record_spawnerr(reason)
        self.change_state(ProcessStates.STARTING)
        self.change_state(ProcessStates.BACKOFF)

    def get_execv_args(self) -> tuple[str, list[str]]:
        return (
            self.settings.file,
            self.settings.argv,
        )  # the agent resolved it; exec has the last word

    def _fork(self) -> int:
        try:
            pid: int = self.config.owner.zygote.fork(self._child(), self._kept())
        except NoZygoteError as error:
            message = "forking task %(task)s here: %(reason)s"
            self.config.options.logger.debug(message, task=self.settings.id, reason=str(error))
            return os.fork()
        return pid

    def _spawn_as_child(self, _file: str, _argv: list[str]) -> None:
        self._child().run(self._kept())

    def _child(self) -> Child:
        marks = {TASK_MARK: self.settings.id, INSTANCE_MARK: self.config.owner.instance}
        join = self.cgroup.join_files() if self.cgroup else []
        return Child(self.settings, marks, join, self.parent)

    def _kept(self) -> Descriptors:
        names = ("stdin", "stdout", "stderr", "exec")
        return Descriptors(*(self.pipes[f"child_{name}"] for name in names))

    def change_state(self, new_state: int, expected: bool = True) -> bool:
        changed: bool = super().change_state(new_state, expected)
        self.config.owner.changed(self)
        return changed

    def transition(self) -> None:
        if self.state != ProcessStates.STARTING or self.exec_is_over:
            super().transition()

    def drain(self) -> None:
        for dispatcher in list(self.dispatchers.values()):  # the exec pipe takes itself out
            if dispatcher.readable():
                dispatcher.handle_read_event()

    def kill(self, sig: int) -> str | None:
        if sig == signal.SIGKILL and self.cgroup:
            self.cgroup.kill()
        message: str | None = super().kill(sig)
        return message

    def finish(self, pid: int, sts: int) -> None:
        """The process was reaped: take its descendants along."""
        self.wait_status = sts
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        super().finish(pid, sts)
        self._close_exec_pipe()
        self.config.owner.left(self)

    def _close_exec_pipe(self) -> None:
        if self.exec_pipe:
            self.exec_pipe.close()

    def status(self) -> ProgramStatus:
        number = os.WTERMSIG(self.wait_status) if os.WIFSIGNALED(self.wait_status) else 0
        code = _SIGNAL_BASE + number if number else os.WEXITSTATUS(self.wait_status)
        return ProgramStatus(
            id=self.settings.id,
            namespec=f"{self.group.config.name}:{self.settings.name}",
            state=getProcessStateDescription(self.state),
            pid=self.pid,
            started=bool(self.laststart),
            ended=self.settled,
            exit_code=code,
            signal=number,
            out_of_memory=self.out_of_memory,
            failure=self.failure,
            started_at=self.laststart,
            ended_at=self.laststop,
            cgroups=self.cgroup.join_files() if self.cgroup else [],
        )


class TaskGroup(ProcessGroup):  # type: ignore[misc]
    """The tasks of one service."""

    def transition(self) -> None:
        for process in self.processes.values():
            if process.state in _MOVING:  # most of a thousand are not, in each turn
                process.transition()

    def before_remove(self) -> None:
        for process in list(self.processes.values()):
            self.config.forget(process.settings.id)


class TaskGroupConfig(ProcessGroupConfig):  # type: ignore[misc]
    """A group that starts out empty and is filled at run time."""

    def __init__(self, options: Any, name: str, forget: Callable[[str], None]) -> None:
        super().__init__(options, name, _PRIORITY, [])
        self.forget = forget

    def make_group(self) -> TaskGroup:
        return TaskGroup(self)
