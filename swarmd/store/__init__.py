"""The one place where components meet: they watch the store and change the store.

    def shut_down(tx: WriteTx) -> api.Task:
        task = tx.tasks.copy(task_id)  # ours to edit; raises NotFoundError
        task.desired_state = api.TaskState.SHUTDOWN
        return tx.tasks.update(task)

    task = await store.update(shut_down)

The rules of a transaction:

 1. A message that came out of the store is shared: never change it. `copy` gives one to change;
    after `create` and `update` it is the store's.
 2. A change is a plain function of its transaction. It awaits nothing and keeps no transaction.
 3. It happens whole or not at all; what it raises reaches who asked for it, and nobody else.
 4. When `update` returns, the change is on disk, then in every view, then with the watchers.
    Nothing is seen before it is durable.
 5. `update` of an object that was changed since it was copied raises OutOfSequenceError.
 6. A transaction has one version, higher than any before it, and every object that it wrote has it
    as its meta.version.index. Names are unique, without case, where a kind has unique names.
 7. A view is consistent until the next await. view() and then watch(), with no await between them,
    lose nothing and show nothing twice.
 8. A watcher that falls too far behind gets WatchOverflowError, and reads the store again.
 9. Where several managers share a store, one writes: `async with store.lead()` follows until that
    is this one. The others' stores show what it commits, and refuse changes: NotLeaderError.

tables.py says what each kind is indexed by, queries.py (`by`) what can be asked, events.py what a
watcher sees. rows.py is how objects are at rest; backend.py where: memory.py for tests, sqlite.py
for a single manager, sealed under a data key, in a file of sqlite_file.py's form, etcd/ for
several. snapshot.py: a whole store from elsewhere, put into an empty one.

backup.py: all of it as the parts of a backup. takeover.py: what becomes of these on the one manager
that goes on. restoring.py: that as a state directory. findings.py: what does not fit together.
redaction.py: what is kept back from people. room.py: what is refused where room has an end.
"""

from swarmd.store import queries as by
from swarmd.store.backend import AlwaysHeld, Backend, Lease, Loaded, Row
from swarmd.store.events import Committed, Created, Deleted, Event, Updated
from swarmd.store.memory import MemoryBackend
from swarmd.store.sqlite import SqliteBackend
from swarmd.store.store import Store
from swarmd.store.tables import task_name
from swarmd.store.transaction import ReadTable, ReadTx, WriteTable, WriteTx
from swarmd.store.watch import Select, Watcher, WatchOverflowError

__all__ = [
    "AlwaysHeld",
    "Backend",
    "Committed",
    "Created",
    "Deleted",
    "Event",
    "Lease",
    "Loaded",
    "MemoryBackend",
    "ReadTable",
    "ReadTx",
    "Row",
    "Select",
    "SqliteBackend",
    "Store",
    "Updated",
    "WatchOverflowError",
    "Watcher",
    "WriteTable",
    "WriteTx",
    "by",
    "task_name",
]
