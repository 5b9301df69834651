"""A long cable between two ends of a switch's: frames arrive late, or never.

Each end is a TAP device of ours. A thread carries what comes out of one into the other; this needs
nothing of the kernel but /dev/net/tun.
"""

import contextlib
import ctypes
import fcntl
import os
import random
import select
import struct
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_NEW_NETWORK: Final = 0x40000000  # CLONE_NEWNET
_TUNSETIFF: Final = 0x400454CA
_TAP: Final = 0x0002 | 0x1000  # IFF_TAP | IFF_NO_PI
_FRAME: Final = 65_536  # bytes; no longer one comes
_LOOK_SECONDS: Final = 0.1


@contextlib.contextmanager
def laid(network: str, near: str, far: str, seconds: float, loss: float) -> Iterator[None]:
    """Two TAP devices of these names in that network namespace, one cable, until the block ends.

    What goes into `near` comes out of `far` that much later, or is lost with that probability;
    what comes back is as quick as ever.
    """
    with contextlib.ExitStack() as stack:
        ends = _tap(network, near), _tap(network, far)
        for end in ends:
            stack.callback(os.close, end)
        pulled = threading.Event()
        carrying = threading.Thread(target=_carry, args=(*ends, seconds, loss, pulled), daemon=True)
        carrying.start()
        stack.callback(carrying.join)
        stack.callback(pulled.set)
        yield


def _tap(network: str, name: str) -> int:
    """The descriptor of a new device there; it goes with the descriptor."""
    found: list[int] = []

    def make() -> None:
        with Path(f"/run/netns/{network}").open("rb") as there:
            if ctypes.CDLL(None, use_errno=True).setns(there.fileno(), _NEW_NETWORK):
                raise OSError(ctypes.get_errno(), f"cannot enter {network}")
        tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TAP))
        found.append(tap)
        subprocess.run(["ip", "link", "set", name, "up"], check=True)

    enters = threading.Thread(target=make)  # only its own network is another one
    enters.start()
    enters.join()
    return found[0]


def _carry(near: int, far: int, seconds: float, loss: float, pulled: threading.Event) -> None:
    chance = random.Random(0)
    under_way: deque[tuple[float, bytes]] = deque()  # when each is due
    while not pulled.is_set():
        due = under_way[0][0] - time.monotonic() if under_way else _LOOK_SECONDS
        readable, _, _ = select.select([near, far], [], [], min(max(due, 0), _LOOK_SECONDS))
        if far in readable:
            os.write(near, os.read(far, _FRAME))
        if near in readable:
            frame = os.read(near, _FRAME)
            if chance.random() >= loss:
                under_way.append((time.monotonic() + seconds, frame))
        while under_way and under_way[0][0] <= time.monotonic():
            os.write(far, under_way.popleft()[1])
