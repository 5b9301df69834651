"""One etcd process: started, watched, stopped; what it says of itself."""

import asyncio
import json
import os
import re
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Final

import humanize
import psutil

from swarmd.api.protos import etcd_pb2 as etcd
from swarmd.backoff import Backoff
from swarmd.clock import Clock
from swarmd.errors import CannotBootError, SwarmError
from swarmd.logs import fields, get_logger
from swarmd.store.etcd import EtcdClient
from swarmd.store.room import Room
from workers.etcd.slowness import Slowness

log = get_logger(__name__)
CLIENT: Final = "client:0"
DATA: Final = Path("data")
_STOP_SECONDS: Final = 4.0
_LONGEST_LINE: Final = 1 << 20  # of its log: it names all keys of a request that was slow
_SOUND_SECONDS: Final = 5.0
_FATAL: Final = frozenset({"fatal", "panic"})
# With what etcd ends when it finds its own files damaged; then starting it again is no help. Other
# lines have some of these words too: of a connection that broke, say.
_DAMAGE: Final = re.compile(
    r"\b(crc|corrupt\w*|checksum|walpb|unexpected EOF|invalid database|freepages)\b|(^|: )snap: "
)


class RemovedError(SwarmError):
    """etcd is no member any more."""


class Member:
    """The etcd process of `directory`, which is its working directory; people know it as `place`.

    `command` gives its command line, each time it is started: with the members of then.
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        place: Path,
        command: Callable[[], Sequence[str]],
        slowness: Slowness,
    ) -> None:
        self.slowness = slowness
        self._name = name
        self._directory = directory
        self._place = place
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._last = ""
        self._damage = ""

    async def keep(self, clock: Clock, random: Random) -> None:
        """Run it; again, as long as it has no data yet: it cannot begin while the others are away.

        And again, but not soon, where the others have removed it: its manager hears that from them,
        and has this stopped. Raises as `run` does.
        """
        backoff, removed = Backoff(0.2, 3.0, random), Backoff(3.0, 30.0, random)
        while True:
            try:
                await self.run()
            except CannotBootError:
                raise
            except SwarmError as error:
                again = removed if isinstance(error, RemovedError) else backoff
                if again is backoff and self._has_data():
                    raise
                delay = again.next()
                log.warning("etcd does not run", extra=fields(error=error, retry_in=delay))
                await clock.sleep(delay)

    async def run(self) -> None:
        """Run it until cancelled; raises SwarmError when it ends by itself.

        CannotBootError where its data cannot be used, with the way out.
        """
        for left in (CLIENT, f"{self._name}:0"):
            (self._directory / left).unlink(missing_ok=True)  # etcd binds them anew
        self._process = await asyncio.create_subprocess_exec(
            *self._command(),
            cwd=self._directory,
            # What the host sets for an etcd of its own is not for this one, which would refuse it.
            env={name: text for name, text in os.environ.items() if not name.startswith("ETCD_")},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
        )
        try:
            await self._listen(self._process)
            status = await self._process.wait()
        finally:
            await self._stop(self._process)
        raise self._ended(status)

    def _has_data(self) -> bool:
        """Its log is there; the directories are made before it knows whom it belongs to."""
        return any((self._directory / DATA / "member" / "wal").glob("*.wal"))

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        """Pass on what it says, in this node's own log."""
        assert process.stderr is not None
        self._last, self._damage = "it said nothing", ""
        while True:
            try:
                line = await process.stderr.readline()
            except ValueError:  # it is longer than that, and thrown away
                continue
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            said, level = _said(text)
            self._last = said or self._last
            if level in _FATAL and _DAMAGE.search(said):
                self._damage = said
            if self.slowness.hear(said, text):
                if sentence := self.slowness.due():
                    log.warning(sentence)
            elif level in {"warn", "error", *_FATAL} and not _is_noise(said):
                log.warning("etcd: %s", said)

    async def _stop(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            log.warning("etcd did not stop in time: killing it", extra=fields(pid=process.pid))
            process.kill()
            await process.wait()

    def _ended(self, status: int) -> SwarmError:
        if self._damage:
            return CannotBootError(cannot_use(self._place, self._damage))
        if status == 0:  # unasked, it ends so for one reason
            return RemovedError("the other managers removed this one from the quorum")
        if status < 0:  # what it said before is not of that
            return SwarmError(f"etcd was killed by {signal.Signals(-status).name}")
        return SwarmError(f"etcd ended with status {status}: {self._last}")


def cannot_use(directory: Path, said: str) -> str:
    """The sentence for data that are damaged, with the way out."""
    return (
        f"etcd cannot use {directory / DATA} ({said}); nothing in it was changed. "
        "If other managers are there: have this one leave and join again "
        "(`swarmd leave --force`, `swarmd join`); else put back a backup (`swarmd restore`)"
    )


async def describe(member: Member, client: EtcdClient, room: Room) -> tuple[dict[str, str], Room]:
    """Facts for `swarmd status`, as far as etcd answers now, and the room that is left then."""
    facts = {"etcd memory": _memory(member.pid)} if member.pid else {}
    try:
        status = await client.call(client.maintenance.Status, etcd.StatusRequest(), seconds=2)
    except SwarmError:
        return {**facts, "quorum": "none: waits for the other managers"}, room
    room = room.after(status.dbSizeInUse)
    leads = status.leader == status.header.member_id
    role = "learns" if status.isLearner else "leads" if leads else "follows"
    facts["quorum"] = role if status.leader else "none: waits for the other managers"
    facts["lag"] = str(status.raftIndex - status.raftAppliedIndex)
    facts["etcd disk"] = humanize.naturalsize(status.dbSize, binary=True)
    # Told also when there is none: what was said before stands until it is said anew.
    alarms = (*map(_in_words, status.errors), room.sentence, member.slowness.sentence)
    facts["etcd alarms"] = "; ".join(filter(None, alarms))
    return facts, room


def _in_words(error: str) -> str:
    """What etcd says is wrong; nothing of what the facts say anyway."""
    if "no leader" in error:
        return ""
    return "its quota is used up, and nothing can be written" if "NOSPACE" in error else error


def _memory(pid: int) -> str:
    try:
        return humanize.naturalsize(psutil.Process(pid).memory_info().rss, binary=True)
    except psutil.Error:
        return "?"


def _said(line: str) -> tuple[str, str]:
    """The message of one of its log lines, with its error, and its level."""
    try:
        record = json.loads(line)
        message, error = record.get("msg", ""), record.get("error", "")
        return (f"{message}: {error}" if error else str(message)), str(record.get("level", ""))
    except (ValueError, AttributeError):
        return line, "panic" if line.startswith(("panic", "fatal error")) else ""


def _is_noise(said: str) -> bool:
    """What it calls a warning though nothing is wrong: its tokens, which are not used; streams."""
    return said.startswith(
        ("simple token", "established TCP", "apply request took too long", "quota exceeds")
    )
