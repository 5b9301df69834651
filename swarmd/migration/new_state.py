"""The state directory of a manager that never ran: certificates, key file, store.

Made beside its place, within the same directory, and moved there last: what is cut short leaves a
directory in which no node can be mistaken for started.
"""

import asyncio
import shutil

from swarmd import api
from swarmd.errors import CannotBootError, FailedPreconditionError
from swarmd.migration.found import Found
from swarmd.security import data_key, key_file
from swarmd.state_dir import PRIVATE_DIR, StateDir
from swarmd.store import SqliteBackend
from swarmd.store.restoring import put_in_place
from swarmd.store.snapshot import put_in


def refuse_occupied(place: StateDir) -> None:
    """Raises FailedPreconditionError where a node lives there, or something else does."""
    if place.root.exists() and any(place.root.iterdir()):
        raise FailedPreconditionError(
            f"{place.root} is not empty: import into a directory that is (--into), or"
            " `swarmd leave` there first"
        )


async def make_state(place: StateDir, found: Found, store: api.StoreSnapshot) -> None:
    """Make it whole; raises CannotBootError where it cannot be written."""
    made = StateDir(place.root / "importing")
    is_new = not place.root.exists()
    try:
        for path in (made.store.parent, made.root_ca.parent):
            path.mkdir(mode=PRIVATE_DIR, parents=True)
        place.root.chmod(PRIVATE_DIR)
        await asyncio.to_thread(_make_certificates, made, found)
        keys = await asyncio.to_thread(data_key.open_data_keys, made.node_key)
        backend = SqliteBackend(made.store, keys.sealer(made.node_key))
        await put_in(backend, store)
        await asyncio.to_thread(put_in_place, made, place)
    except BaseException as error:
        shutil.rmtree(place.root if is_new else made.root, ignore_errors=True)
        if isinstance(error, OSError):
            raise CannotBootError(f"cannot write to {place.root}: {error.strerror}") from error
        raise


def _make_certificates(made: StateDir, found: Found) -> None:
    """The manager's own, with its key sealed as it was."""
    headers = {key_file.KEK_VERSION: found.kek_version}
    key_file.write(made.node_key, found.certificates.key_pem, headers, found.unlock_key)
    found.certificates.save(made)
