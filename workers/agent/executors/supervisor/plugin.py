"""The `swarmd` namespace of a supervisord: the RPC interface that adds, removes and reports tasks.

    [rpcinterface:swarmd]
    supervisor.rpcinterface_factory = workers.agent.executors.supervisor.plugin:make_interface

Each call answers at once, from what is known: starting and stopping go on after it, and the agent
hears of it by its doorbell. What calls take and give is JSON (messages.py) inside XML-RPC.
"""

# ruff: noqa: N802 - XML-RPC shows the methods under their own names, and supervisor's are in camelCase

import hashlib
import json
from collections.abc import Callable
from typing import Any

from supervisor.http import NOT_DONE_YET
from supervisor.options import VERSION
from supervisor.states import SupervisorStates
from supervisor.xmlrpc import Faults, RPCError

from workers.agent.executors.supervisor.messages import ProgramSettings
from workers.agent.executors.supervisor.plugin_tasks import Tasks

_HELD_AS = "swarmd_tasks"


def make_interface(supervisord: Any, **_: Any) -> "SwarmdInterface":
    """Called by supervisord once for each of its sockets; all of them share the tasks."""
    tasks = getattr(supervisord, _HELD_AS, None)
    if tasks is None:
        address = supervisord.options.serverurl or supervisord.options.configfile or ""
        tasks = Tasks(supervisord, hashlib.sha256(address.encode()).hexdigest()[:12])
        setattr(supervisord, _HELD_AS, tasks)
    return SwarmdInterface(supervisord, tasks)


class SwarmdInterface:
    """What can be called as swarmd.<name>; the plural forms give {id: why not} for what failed."""

    def __init__(self, supervisord: Any, tasks: Tasks) -> None:
        self._supervisord = supervisord
        self._tasks = tasks

    def getInfo(self) -> str:
        """What this supervisord can do for tasks

        @return string result     JSON
        """
        return json.dumps(self._tasks.info(VERSION).to_dict())

    def addTasks(self, settings: str) -> str:
        """Make programs of tasks; those that are there already stay as they are

        @param string settings    A JSON array of settings
        @return string result     JSON: id to reason, where one failed
        """
        self._assert_running()
        return self._each(json.loads(settings), lambda fields: fields["id"], self._add)

    def addTask(self, settings: str) -> bool:
        """Make a program of a task

        @param string settings    JSON
        @return boolean result    Always true unless error
        """
        self._assert_running()
        return self._one(lambda: self._add(json.loads(settings)))

    def startTasks(self, ids: str) -> str:
        """Start tasks, a few in each turn of the loop

        @param string ids         A JSON array
        @return string result     JSON: id to reason, where one failed
        """
        self._assert_running()
        return self._each(json.loads(ids), str, self._tasks.start)

    def startTask(self, task_id: str) -> bool:
        """Start a task soon

        @param string task_id     Its id
        @return boolean result    Always true unless error
        """
        self._assert_running()
        return self._one(lambda: self._tasks.start(task_id))

    def stopTasks(self, ids: str) -> str:
        """Send tasks their stop signal, and SIGKILL after their grace period

        @param string ids         A JSON array
        @return string result     JSON: id to reason, where one failed
        """
        return self._each(json.loads(ids), str, self._tasks.stop)

    def stopTask(self, task_id: str) -> bool:
        """Send a task its stop signal, and SIGKILL after its grace period

        @param string task_id     Its id
        @return boolean result    Always true unless error
        """
        return self._one(lambda: self._tasks.stop(task_id))

    def killTasks(self, ids: str) -> str:
        """Kill tasks with all their descendants

        @param string ids         A JSON array
        @return string result     JSON: id to reason, where one failed
        """
        return self._each(json.loads(ids), str, self._tasks.kill)

    def killTask(self, task_id: str) -> bool:
        """Kill a task with all its descendants

        @param string task_id     Its id
        @return boolean result    Always true unless error
        """
        return self._one(lambda: self._tasks.kill(task_id))

    def removeTasks(self, ids: str) -> str:
        """Forget tasks; those that run are killed first

        @param string ids         A JSON array
        @return string result     JSON: id to reason, where one failed
        """
        return self._each(json.loads(ids), str, self._tasks.remove)

    def removeTask(self, task_id: str) -> bool:
        """Forget a task; one that runs is killed first

        @param string task_id     Its id
        @return boolean result    Always true, also for one that is not there
        """
        return self._one(lambda: self._tasks.remove(task_id))

    def getTask(self, task_id: str) -> str:
        """The state of a task

        @param string task_id     Its id
        @return string result     JSON
        """
        process = self._tasks.processes.get(task_id)
        if process is None:
            raise RPCError(Faults.BAD_NAME, task_id)
        return json.dumps(process.status().to_dict())

    def listTasks(self) -> str:
        """The states of all tasks

        @return string result     A JSON array
        """
        return json.dumps(
            [process.status().to_dict() for process in self._tasks.processes.values()]
        )

    def changes(self, boot: str, number: int, doorbell: str) -> str:
        """The states that changed after a number, and a ring at the next change

        @param string boot        Of the last answer; all tasks are told where it is another
        @param int number         Of the last answer
        @param string doorbell    The path of a datagram socket, or nothing
        @return string result     JSON
        """
        if doorbell:
            self._tasks.doorbell.subscribe(doorbell)
        return self._tasks.changes(boot, number).to_json()

    def subscribe(self, doorbell: str) -> bool:
        """Ring at the next change

        @param string doorbell    The path of a datagram socket
        @return boolean result    Always true
        """
        self._tasks.doorbell.subscribe(doorbell)
        return True

    def stopAllTasks(self) -> Callable[[], Any]:
        """Stop all tasks, each with its grace period, and forget them; answers when that is done

        @return boolean result    Always true
        """
        self._tasks.stop_all(forget=True)

        def all_gone() -> Any:
            return NOT_DONE_YET if self._tasks.processes else True

        all_gone.delay = 0.1  # type: ignore[attr-defined]
        return all_gone

    def endIfIdle(self) -> bool:
        """End this supervisord, unless it has a program, ended or not

        @return boolean result    Whether it ends
        """
        if self._tasks.processes or self._supervisord.process_groups:
            return False
        self._supervisord.options.mood = SupervisorStates.SHUTDOWN
        return True

    def _add(self, fields: dict[str, Any]) -> None:
        self._tasks.add(ProgramSettings.from_dict(fields))

    def _assert_running(self) -> None:
        if self._supervisord.options.mood < SupervisorStates.RUNNING:
            raise RPCError(Faults.SHUTDOWN_STATE)

    def _each(
        self, items: list[Any], id_of: Callable[[Any], str], act: Callable[[Any], None]
    ) -> str:
        failures = {}
        for item in items:
            try:
                act(item)
            except (LookupError, TypeError, ValueError, OSError) as error:
                failures[id_of(item)] = str(error)
        return json.dumps(failures)

    def _one(self, act: Callable[[], None]) -> bool:
        try:
            act()
        except LookupError as error:
            raise RPCError(Faults.BAD_NAME, str(error)) from error
        except (TypeError, ValueError, OSError) as error:
            raise RPCError(Faults.FAILED, str(error)) from error
        return True
