"""What quorum.json says at a start, and what --force-new-cluster makes of it and of the log."""

from collections.abc import Mapping
from typing import Final

from swarmd.errors import CannotBootError, SwarmError
from swarmd.logs import fields, get_logger
from swarmd.quorum_file import FORCED, QuorumFile, change
from swarmd.state_dir import StateDir
from swarmd.store.etcd.wal import DamagedLogError
from workers.etcd import unheard
from workers.etcd.member import DATA, cannot_use

log = get_logger(__name__)
_LOG: Final = DATA / "member" / "wal"


def quorum_at_start(state_dir: StateDir, *, force: bool) -> tuple[QuorumFile, Mapping[str, str]]:
    """The members as etcd is to have them, and what `swarmd status` tells of that.

    Blocks. Raises CannotBootError for a manager that has nothing to go on with, SwarmError for one
    that is of no quorum.
    """
    found = QuorumFile.load(state_dir.quorum)
    if found is None:
        raise SwarmError(f"{state_dir.quorum} is missing: this manager is of no quorum")
    forced = found.at_start(force=force).start == FORCED
    ending = _read(state_dir) if forced else None  # before anything is changed
    quorum = change(state_dir.quorum, lambda file: file.at_start(force=force)) or found
    if ending is not None:
        return quorum, {"forced": _go_on_alone(found, ending)}
    if force:
        log.info("--force-new-cluster was done at an earlier start: not again")
    return quorum, {}


def _read(state_dir: StateDir) -> unheard.Log:
    directory = state_dir.etcd / _LOG
    if not any(directory.glob("*.wal")):
        raise CannotBootError(
            f"{directory} is empty: this manager has nothing of the cluster that it could go on "
            "with. Take another one that is left, or put back a backup (`swarmd restore`)"
        )
    try:
        return unheard.read(directory)
    except DamagedLogError as error:
        raise CannotBootError(cannot_use(state_dir.etcd, str(error))) from error


def _go_on_alone(found: QuorumFile, ending: unheard.Log) -> str:
    """Make it so that nothing in the log is dropped; what was done, in a line."""
    others = {name: at or "?" for name, at in found.members.items() if name != found.node_id}
    lost = ", ".join(f"{name} at {at}" for name, at in others.items()) or "others"
    count, last = len(ending.unheard), ending.last
    unheard.commit_all(ending)
    kept = f"kept {count} entries of the log that it had not heard to be committed"
    log.warning(
        "goes on without the other managers", extra=fields(lost=lost, kept=count, up_to=last)
    )
    return f"to go on without {lost}; {kept}, up to {last}"
