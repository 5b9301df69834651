"""The secrets and configs that the tasks of this node may read, as its sessions assign them.

They are kept in memory only: a secret never lies on this disk but in its task's own directory.
After a restart they come again with the first complete assignment.
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from swarmd import api
from workers.agent.assignments import Changes, Difference
from workers.agent.executors import Dependencies
from workers.agent.executors.errors import RejectedError, TemporaryError

_T = TypeVar("_T", api.Secret, api.Config)


class DependencySet:
    """Everything assigned to this node; each task sees what its own spec names."""

    def __init__(self) -> None:
        self.secrets: dict[str, api.Secret] = {}
        self.configs: dict[str, api.Config] = {}
        self._complete = False

    def apply(self, changes: Changes) -> None:
        """Take a message's changes; called before its tasks are, since those rely on it."""
        _take(self.secrets, changes.secrets)
        _take(self.configs, changes.configs)
        self._complete = self._complete or changes.complete

    def of(self, task: api.Task) -> Dependencies:
        """What the task may read; raises when something is missing.

        TemporaryError before the first complete assignment, RejectedError after it.
        """
        container = task.spec.container
        secrets, no_secrets = self._secrets_of(task, [ref.secret_id for ref in container.secrets])
        configs, no_configs = _find(self.configs, [ref.config_id for ref in container.configs])
        missing = [f"secret {each}" for each in no_secrets]
        missing += [f"config {each}" for each in no_configs]
        if missing:
            sentence = f"not assigned to this node: {', '.join(missing)}"
            raise RejectedError(sentence) if self._complete else TemporaryError(sentence)
        return Dependencies(secrets, configs)

    def _secrets_of(
        self, task: api.Task, ids: Iterable[str]
    ) -> tuple[dict[str, api.Secret], list[str]]:
        """As `_find`; a secret made for this task alone has the id `<secret>.<task>`."""
        found, missing = _find(self.secrets, ids)
        own = {each: self.secrets.get(f"{each}.{task.id}") for each in [*found, *missing]}
        found |= {each: secret for each, secret in own.items() if secret is not None}
        return found, [each for each in missing if each not in found]


def _find(objects: Mapping[str, _T], ids: Iterable[str]) -> tuple[dict[str, _T], list[str]]:
    wanted = list(ids)
    found = {each: objects[each] for each in wanted if each in objects}
    return found, [each for each in wanted if each not in objects]


def _take(objects: dict[str, _T], difference: Difference[_T]) -> None:
    for each in difference.dropped:
        objects.pop(each, None)
    objects.update(difference.changed)
