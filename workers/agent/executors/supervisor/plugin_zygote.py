"""A small copy of supervisord that forks in its place.

After a fork, each page that supervisord touches has to be copied: with the state of a thousand
tasks that is 5 ms of kernel time a task. A copy that touches next to nothing forks in a tenth of
that. What it forks are children of supervisord (CLONE_PARENT), which reaps them, and whose death
they share.

Runs inside supervisord. Where it does not work, supervisord forks by itself, as ever.
"""

import contextlib
import ctypes
import errno
import json
import os
import platform
import signal
import socket
from typing import Final, NoReturn

from workers.agent.executors.supervisor.plugin_child import (
    HANDLED,
    Child,
    Descriptors,
    die_with_parent,
)

_WORKS: Final = platform.machine() in ("x86_64", "aarch64", "riscv64") and hasattr(os, "pidfd_open")
_CLONE_PARENT: Final = 0x8000
_SYS_CLONE: Final = 56 if platform.machine() == "x86_64" else 220
_MOST_BYTES: Final = 64 << 10  # of a request: what fits a socket's buffer for sure
_ANSWER_SECONDS: Final = 2.0  # it takes a millisecond; a stuck one is given up
_DESCRIPTORS: Final = 4
_syscall = ctypes.CDLL(None, use_errno=True).syscall


class NoZygoteError(Exception):
    """It did nothing: supervisord can fork this one itself."""


class Zygote:
    """Started at its first use, since supervisord becomes a daemon after the plugin was made."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._handle = -1  # a pidfd: its pid may be another's by the time it is used

    def fork(self, child: Child, keep: Descriptors) -> int:
        """The pid of a new child of supervisord; raises NoZygoteError, or OSError as os.fork does.

        After an OSError there may be a child nevertheless: the caller makes sure of its end.
        """
        request = json.dumps(child.to_dict()).encode()
        if not _WORKS or len(request) > _MOST_BYTES:
            raise NoZygoteError("not for this one")
        requests = self._socket or self._start()
        try:
            socket.send_fds(requests, [request], [*keep])
        except OSError as error:
            self.close()
            raise NoZygoteError(str(error)) from error
        return self._answer(requests)

    def close(self) -> None:
        """End it; the next use starts another."""
        if self._socket is None:
            return
        self._socket.close()
        self._socket = None
        with contextlib.suppress(ProcessLookupError):  # supervisord reaped it already
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        os.close(self._handle)

    def abandon(self) -> None:
        if self._socket:
            self._socket.detach()
            self._socket = None

    def _answer(self, requests: socket.socket) -> int:
        try:
            answer = int(requests.recv(64) or -errno.EPIPE)
        except OSError:
            answer = -errno.ETIMEDOUT
        if answer > 0:
            return answer
        self.close()
        raise OSError(-answer, os.strerror(-answer))

    def _start(self) -> socket.socket:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(_ANSWER_SECONDS)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _run(its, parent)
        its.close()
        self._handle = os.pidfd_open(pid)
        self._socket = ours
        return ours


def _run(requests: socket.socket, supervisord: int) -> NoReturn:
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in HANDLED:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        _keep_only(requests.fileno())
        die_with_parent(supervisord)
        while True:
            request, descriptors, _, _ = socket.recv_fds(requests, _MOST_BYTES, _DESCRIPTORS)
            if not request:
                break
            requests.send(str(_fork(request, descriptors)).encode())
    finally:
        os._exit(0)  # whatever happened: this must not go on as a second supervisord


def _fork(request: bytes, descriptors: list[int]) -> int:
    """In the copy: the pid of the child, or an errno below nought."""
    pid: int = _syscall(_SYS_CLONE, _CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        Child.from_dict(json.loads(request)).run(Descriptors(*descriptors))
    for descriptor in descriptors:
        os.close(descriptor)
    return pid if pid > 0 else -ctypes.get_errno()


def _keep_only(descriptor: int) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)
    os.closerange(3, descriptor)
    os.closerange(descriptor + 1, 1 << 20)
