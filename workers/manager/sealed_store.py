"""The store of this manager, sealed by the data key that its key file keeps."""

import asyncio

from swarmd.errors import CannotBootError
from swarmd.security import data_key
from swarmd.state_dir import StateDir
from swarmd.store import SqliteBackend


async def open_backend(state_dir: StateDir) -> SqliteBackend:
    """The backend, loaded once so that all of it is under the newest data key.

    Raises LockedError, CorruptStateError or CannotBootError.
    """
    try:
        keys = await asyncio.to_thread(data_key.open_data_keys, state_dir.node_key)
    except OSError as error:
        where = state_dir.node_key.parent
        raise CannotBootError(f"cannot write to {where}: {error.strerror}") from error
    backend = SqliteBackend(state_dir.store, keys.sealer(state_dir.node_key))
    if keys.pending:  # a change of the data key was cut short
        await backend.load()
        await asyncio.to_thread(data_key.finish, state_dir.node_key)
    return backend
