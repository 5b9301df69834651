"""How another manager's etcd comes in by the remote port: past this process, to the etcd worker.

It says a preface, before any TLS; the connection is handed over whole, and what is proved of its
far end is proved there. So it does not end with the process that took it.
"""

import os
import socket
from pathlib import Path
from typing import Final

PREFACE: Final = b"swarmd-etcd\n"  # no TLS record begins so, and no HTTP request
ACCEPTED: Final = b"+"  # the etcd worker has it: TLS may begin
DOOR: Final = "door"  # the etcd worker's socket, in its directory


def hand_over(connection: int, door: Path) -> None:
    """Pass the descriptor on; raises OSError where nobody takes it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as way:
        way.setblocking(False)
        way.connect(str(door))
        socket.send_fds(way, [b"c"], [connection])


def open_door(directory: Path) -> socket.socket:
    """The socket where connections arrive, ours alone; raises OSError."""
    path = directory / DOOR
    path.unlink(missing_ok=True)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    mask = os.umask(0o177)
    try:
        door.bind(str(path))
        door.setblocking(False)
    except BaseException:
        door.close()
        raise
    finally:
        os.umask(mask)
    return door


def handed_over(door: socket.socket) -> list[socket.socket]:
    """The connections that wait in it."""
    taken: list[socket.socket] = []
    while True:
        try:
            _, descriptors, _, _ = socket.recv_fds(door, 1, 1)
        except BlockingIOError:
            return taken
        taken += [socket.socket(fileno=descriptor) for descriptor in descriptors]
