"""The calls under way of each node, so that those of a removed one end at once."""

import asyncio
import contextlib
from collections.abc import Iterator

from swarmd.rpc.authorize import Authorizer
from swarmd.security.identity import Caller


class OpenCalls:
    """Knows the task of each call that a node's certificate let in."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer
        self._tasks: dict[str, set[asyncio.Task[object]]] = {}
        self._ended: set[asyncio.Task[object]] = set()

    def end_removed(self) -> None:
        """End what nodes have open that were removed meanwhile: silent, waiting or writing."""
        for node_id, tasks in self._tasks.items():
            if self._authorizer.is_removed(node_id):
                for task in tasks - self._ended:
                    self._ended.add(task)
                    task.cancel()

    @contextlib.contextmanager
    def holding(self, caller: Caller) -> Iterator[None]:
        """For as long as its call lasts; raises PermissionDeniedError when the node is removed."""
        if caller.local or not caller.node_id:
            yield
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.setdefault(caller.node_id, set()).add(task)
        try:
            yield
        except asyncio.CancelledError:
            if task not in self._ended:
                raise
            task.uncancel()  # ours: the caller is to hear why
            self._authorizer.check_still_there(caller)
        except Exception:
            self._authorizer.check_still_there(caller)  # what failed may have failed for that
            raise
        finally:
            self._forget(caller.node_id, task)

    def _forget(self, node_id: str, task: asyncio.Task[object]) -> None:
        self._ended.discard(task)
        self._tasks[node_id].discard(task)
        if not self._tasks[node_id]:
            del self._tasks[node_id]
