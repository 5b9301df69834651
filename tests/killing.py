"""Any one machine of a cluster is killed, in part or whole, stopped, or cut off; never two at once.

killing = Killing(managers, net, service, random.Random(1))
killing.run(60)                                # seconds
killing.done                                   # what was done to whom, for the message of a failure
"""

import random
import signal
import time
from collections.abc import Mapping, Sequence
from typing import Final

from swarmd import api
from tests.cluster import RealNode, wait
from tests.fakes.running_node import lives
from tests.networks import Lan, NetNode
from tests.quorum import Managers, etcd_pid, host_pids, node_id, signal_all, stopped

_PAUSE_SECONDS: Final = (0.5, 4.0)
_AWAY_SECONDS: Final = (0.5, 3.0)
_AGAIN: Final = 0.25
_WHOLE: Final = ("host",) * 4
_PARTS: Final = ("swarmd", "parent", "manager", "agent", "etcd", "etcd worker", "stopped", "cut")

Tasks = Mapping[str, tuple[str, int]]
"""Task id to the node and the process id."""


class Killing:
    """`service` is one that nobody touches: its tasks are killed with their machine, or never."""

    def __init__(self, managers: Managers, net: Lan, service: str, chance: random.Random) -> None:
        self.done: list[str] = []
        self._managers = managers
        self._net = net
        self._service = service
        self._chance = chance
        self._count = len(self._running())

    def run(self, seconds: float) -> None:
        """Mostly once the one before is whole again, else the same machine again."""
        begun = time.monotonic()
        victim, untouched, elsewhere = self._next()
        while time.monotonic() < begun + seconds:
            fault = self._chance.choice(_WHOLE + _PARTS)
            self.done.append(f"{time.monotonic() - begun:.1f} s: {victim.host.name}, {fault}")
            if fault == "host":
                untouched = elsewhere
            self._do(fault, victim)
            time.sleep(self._chance.uniform(*_PAUSE_SECONDS))
            if self._chance.random() > _AGAIN:
                self._whole(untouched)
                victim, untouched, elsewhere = self._next()
        self._whole(untouched)

    def _next(self) -> tuple[NetNode, Tasks, Tasks]:
        """The next machine, what runs before anything is done to it, and what of that elsewhere."""
        victim = self._chance.choice(self._managers.nodes)
        assert isinstance(victim, NetNode)
        own, running = node_id(victim), self._running()
        return victim, running, {one: at for one, at in running.items() if at[0] != own}

    def _whole(self, untouched: Tasks) -> None:
        """All three are there again, and all tasks; those of other machines are the very same."""
        self._managers.wait_whole()

        def all_there() -> bool:
            running = self._running()
            return len(running) == self._count and untouched.items() <= running.items()

        try:
            wait(all_there, f"the tasks {untouched}, of {self._count}")
        except AssertionError as error:
            error.add_note("\n".join(map(_in_a_line, self._tasks())))
            raise

    def _tasks(self) -> Sequence[api.Task]:
        return self._managers.nodes[0].tasks(self._service)

    def _running(self) -> Tasks:
        """As the managers know it, and as it is."""
        state = api.TaskState.RUNNING
        return {
            one.id: (one.node_id, one.status.container.pid)
            for one in self._tasks()
            if one.status.state == one.desired_state == state and lives(one.status.container.pid)
        }

    def _do(self, fault: str, victim: NetNode) -> None:
        away = self._chance.uniform(*_AWAY_SECONDS)
        if fault == "cut":
            with self._net.cut(victim.host):
                time.sleep(away)
        elif fault == "stopped":
            with stopped(host_pids(victim)):
                time.sleep(away)
        elif fault == "host":
            victim.kill_all()
            time.sleep(away)
            victim.spawn()
        else:
            signal_all(_pids(fault, victim), signal.SIGKILL)


def _in_a_line(task: api.Task) -> str:
    """For the message of a failure: what it is, what it is to be, where, and why."""
    state, wanted = (api.TaskState.Name(one) for one in (task.status.state, task.desired_state))
    at = f"{task.node_id} {task.status.container.pid}"
    why = f"{task.status.message} {task.status.err}".strip()
    since = task.status.timestamp.ToJsonString()
    return f"{task.id} slot {task.slot} at {at}: {state}, to be {wanted}; {why} ({since})"


def _pids(fault: str, node: RealNode) -> list[int]:
    """Those that live at the moment."""
    found = {
        "swarmd": host_pids(node),
        "parent": [node.pid],
        "etcd": [etcd_pid(node)],
        "etcd worker": [node.worker_pid("etcd")],
    }
    return [pid for pid in found.get(fault, [node.worker_pid(fault)]) if pid]
