"""What the clients of a load share: objects of the control API that are created, changed, removed.

Each has a name, and a value: its label `v`.
"""

import random
from typing import Any, Final

from swarmd import api
from tests import builders

_MOST_REPLICAS: Final = 3


class Configs:
    """Nobody but their writers changes them, so that their versions are the writers' too."""

    kind = "Config"
    count = 6
    pause_seconds = 0.005
    versions_are_writers = True

    def new(self, name: str, value: str, _: random.Random) -> api.ConfigSpec:
        annotations = api.Annotations(name=name, labels={"v": value})
        return api.ConfigSpec(annotations=annotations, data=b"x")

    def change(self, spec: Any, value: str, _: random.Random) -> None:
        spec.annotations.labels["v"] = value


class Services:
    """Host processes, up to three of each, that every other change replaces.

    The orchestrators write services too, as their updates go on. A change is never given up for
    tasks that were killed.
    """

    kind = "Service"
    count = 4
    pause_seconds = 0.3
    versions_are_writers = False

    def new(self, name: str, value: str, chance: random.Random) -> api.ServiceSpec:
        container = builders.container(command=("sleep", "10000"), env=[f"V={value}"])
        update = api.UpdateConfig(failure_action=api.UpdateConfig.FailureAction.CONTINUE)
        update.monitor.FromMilliseconds(100)
        task = api.TaskSpec(container=container, restart=builders.quick_restart())
        spec = builders.service(name, labels={"v": value}, task_spec=task).spec
        spec.update.CopyFrom(update)
        spec.replicated.replicas = self._replicas(chance)
        return spec

    def change(self, spec: Any, value: str, chance: random.Random) -> None:
        spec.annotations.labels["v"] = value
        if chance.random() < 0.5:
            spec.replicated.replicas = self._replicas(chance)
        else:
            spec.task.container.env[:] = [f"V={value}"]

    def _replicas(self, chance: random.Random) -> int:
        return chance.randint(1, _MOST_REPLICAS)


Registers = Configs | Services
