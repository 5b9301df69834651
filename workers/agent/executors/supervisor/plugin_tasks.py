"""All tasks of one supervisord: what was asked of them, and what is still to be done about it.

Work that takes time is spread over turns of supervisord's loop, and a turn has a budget: forks are
slow, and while one batch starts, calls are answered and the dead are counted. Runs inside
supervisord.
"""

import atexit
import contextlib
import os
import secrets
import signal
import time
from collections import deque
from pathlib import Path
from typing import Any, ClassVar, Final

from supervisor import events
from supervisor.states import RUNNING_STATES, ProcessStates

from workers.agent.executors.supervisor.cgroup import CgroupTree
from workers.agent.executors.supervisor.leftovers import kill_marked, remove_tree, sweep
from workers.agent.executors.supervisor.messages import Changes, HostInfo, ProgramSettings
from workers.agent.executors.supervisor.plugin_doorbell import Doorbell
from workers.agent.executors.supervisor.plugin_task import (
    TaskConfig,
    TaskGroup,
    TaskGroupConfig,
    TaskProcess,
)
from workers.agent.executors.supervisor.plugin_wakeup import Wakeup
from workers.agent.executors.supervisor.plugin_zygote import Zygote

_TURN_SECONDS: Final = 0.05  # of forking, before the loop goes round
_LOOK_AGAIN_SECONDS: Final = 0.01
_SETTLE_SECONDS: Final = 2.0  # SIGKILL works in less, but for a process stuck in the kernel


class Tasks:
    """The tasks, by id, in the order they were added."""

    _current: ClassVar["Tasks | None"] = None

    def __init__(self, supervisord: Any, instance: str) -> None:
        if Tasks._current:
            Tasks._current.abandon()  # supervisord reloads: a new one in the same process
        Tasks._current = self
        self._supervisord = supervisord
        self._log = supervisord.options.logger
        self.instance = instance
        self.boot = secrets.token_hex(8)
        self.tree = CgroupTree.of_this_host(instance)
        self.zygote = Zygote()
        self.processes: dict[str, TaskProcess] = {}
        self.doorbell = Doorbell()
        self._number = 0
        self._to_start: deque[str] = deque()
        self._settling: dict[str, float] = {}  # id, and when to stop looking
        self._to_forget: set[str] = set()
        self._sweep()
        self._wakeup = Wakeup(self._turn, self._log)
        self._keep_out_of_updates()
        events.subscribe(events.SupervisorStoppingEvent, self._on_stopping)
        atexit.register(self._clean_up)

    def abandon(self) -> None:
        """Forget the descriptors, which supervisord closed: their numbers are others' by now."""
        atexit.unregister(self._clean_up)
        self._wakeup.abandon()
        self.zygote.abandon()
        self.doorbell.abandon()

    def info(self, version: str) -> HostInfo:
        return HostInfo(
            version=version,
            pid=os.getpid(),
            uid=os.getuid(),
            boot=self.boot,
            unavailable=self.tree.unavailable,
        )

    def changes(self, boot: str, number: int) -> Changes:
        whole = boot != self.boot
        changed = [p for p in self.processes.values() if whole or p.number > number]
        statuses = [process.status() for process in changed]
        return Changes(boot=self.boot, number=self._number, whole=whole, programs=statuses)

    # What is asked. Each may be asked again.

    def add(self, settings: ProgramSettings) -> None:
        if settings.id in self.processes:
            return
        group = self._group(settings.group)
        config = TaskConfig(self._supervisord.options, settings, self)
        process = config.make_process(group)
        group.config.process_configs.append(config)
        group.processes[settings.name] = process
        self.processes[settings.id] = process
        self.changed(process)

    def start(self, task_id: str) -> None:
        process = self._process(task_id)
        if not process.laststart and not process.settled and task_id not in self._to_start:
            self._to_start.append(task_id)
            self._wakeup.now()

    def stop(self, task_id: str) -> None:
        process = self._process(task_id)
        if process.state in RUNNING_STATES:
            process.stop()
            self._wakeup.within(process.settings.grace_seconds + _LOOK_AGAIN_SECONDS)
        elif not process.laststart:
            self._call_off(process)

    def kill(self, task_id: str) -> None:
        process = self._process(task_id)
        if process.state in (*RUNNING_STATES, ProcessStates.STOPPING):
            process.kill(signal.SIGKILL)
        elif not process.laststart:
            self._call_off(process)

    def remove(self, task_id: str) -> None:
        with contextlib.suppress(LookupError):
            self.kill(task_id)
            self._to_forget.add(task_id)
            self._wakeup.now()

    def stop_all(self, *, forget: bool) -> None:
        for task_id in list(self.processes):
            self.stop(task_id)
        if forget:
            self._to_forget.update(self.processes)
            self._wakeup.now()

    def forget(self, task_id: str) -> None:
        self.processes.pop(task_id, None)
        self._settling.pop(task_id, None)
        self._to_forget.discard(task_id)

    # What happens.

    def changed(self, process: TaskProcess) -> None:
        self._number += 1
        process.number = self._number
        self.doorbell.ring()

    def left(self, process: TaskProcess) -> None:
        """Its process is reaped; it has ended when its descendants are gone too."""
        self._settling[process.settings.id] = time.monotonic() + _SETTLE_SECONDS
        if process.cgroup and process.cgroup.is_empty():
            self._settle({process.settings.id})
        self._wakeup.now()  # in any case: supervisord reaps no more than a hundred in a turn

    def _turn(self) -> None:
        deadline = time.monotonic() + _TURN_SECONDS
        while self._to_start and time.monotonic() < deadline:
            self._start_one(self._to_start.popleft())
        self._settle(set(self._settling))
        for task_id in [i for i in self._to_forget if self._may_go(i)]:
            self._drop(self.processes[task_id])
        if self._to_start:
            self._wakeup.now()
        if self._settling:
            self._wakeup.within(_LOOK_AGAIN_SECONDS)

    def _start_one(self, task_id: str) -> None:
        process = self.processes.get(task_id)
        if process is None or process.laststart or process.settled:
            return
        process.spawn()
        process.transition()
        if process.state == ProcessStates.FATAL:
            self.left(process)

    def _settle(self, task_ids: set[str]) -> None:
        """Kill again what is left of them; those of which nothing is left have ended."""
        untracked = {i for i in task_ids if self.processes[i].cgroup is None}
        busy = kill_marked(self.instance, untracked) if untracked else set()
        for task_id in task_ids:
            process = self.processes[task_id]
            gone = self._is_gone(process) if process.cgroup else task_id not in busy
            if gone or time.monotonic() > self._settling[task_id]:
                if not gone:
                    self._log.warn(f"something of task {task_id} cannot be killed")
                del self._settling[task_id]
                self._end(process)

    def _is_gone(self, process: TaskProcess) -> bool:
        group = process.cgroup
        if group is None or group.is_empty():
            process.out_of_memory |= bool(group and group.ran_out_of_memory())
            return group is None or group.remove()
        group.kill()
        return False

    def _end(self, process: TaskProcess) -> None:
        process.settled = True
        if process.settings.credentials:
            remove_tree(Path(process.settings.credentials))  # in memory: this takes no time
        self.changed(process)
        if process.settings.id in self._to_forget:
            self._wakeup.now()

    def _call_off(self, process: TaskProcess) -> None:
        process.failure = process.failure or "stopped before it started"
        self._end(process)

    def _may_go(self, task_id: str) -> bool:
        process = self.processes[task_id]
        return process.settled or not process.laststart

    def _drop(self, process: TaskProcess) -> None:
        group = process.group
        group.processes.pop(process.settings.name, None)
        group.config.process_configs.remove(process.config)
        self.forget(process.settings.id)
        if not group.processes:
            self._supervisord.remove_process_group(group.config.name)

    def _on_stopping(self, _event: Any) -> None:
        self.stop_all(forget=False)  # at once: supervisord would wait for one group after another

    def _sweep(self) -> None:
        if not sweep(self.instance, self.tree):
            self._log.warn("something that an earlier start left cannot be killed")

    def _clean_up(self) -> None:
        self._sweep()
        self.tree.close()

    def _process(self, task_id: str) -> TaskProcess:
        process = self.processes.get(task_id)
        if process is None:
            raise LookupError(task_id)
        return process

    def _group(self, name: str) -> TaskGroup:
        groups = self._supervisord.process_groups
        while name in groups and not isinstance(groups[name], TaskGroup):
            name += "-tasks"  # a program of the configuration has that name
        if name not in groups:
            config = TaskGroupConfig(self._supervisord.options, name, self.forget)
            self._supervisord.add_process_group(config)
        group: TaskGroup = groups[name]
        return group

    def _keep_out_of_updates(self) -> None:
        """`supervisorctl update` removes what its file does not have; our groups are not for it."""
        compare = self._supervisord.diff_to_active

        def without_ours() -> tuple[list[Any], list[Any], list[Any]]:
            added, changed, removed = compare()
            return added, changed, [c for c in removed if not isinstance(c, TaskGroupConfig)]

        self._supervisord.diff_to_active = without_ours
