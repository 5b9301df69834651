"""The supervisord that an agent brings along where none with our plugin runs it.

It is a daemon: it and its tasks outlive the agent, and the next agent finds it by its socket. It
ends by `supervisor.shutdown`, or with the host.
"""

import asyncio
import os
import resource
import sys
from pathlib import Path
from typing import Final

import workers
from swarmd.state_dir import make_socket_directory, replace_file
from workers.agent.executors.errors import TemporaryError

_DESCRIPTORS: Final = 65536  # a running task takes four
_START_SECONDS: Final = 15.0

_CONFIG: Final = """\
; Made by swarmd for the tasks of this node: written anew at each start.
[supervisord]
logfile={directory}/supervisord.log
logfile_maxbytes=10MB
logfile_backups=3
pidfile={directory}/supervisord.pid
childlogdir={directory}
nocleanup=true
identifier=swarmd-tasks
minfds={descriptors}
umask=022
{user}
[unix_http_server]
file={socket}
chmod=0700

[supervisorctl]
serverurl=unix://{socket}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[rpcinterface:swarmd]
supervisor.rpcinterface_factory=workers.agent.executors.supervisor.plugin:make_interface
"""


def configuration(directory: Path, socket: Path, uid: int, most_descriptors: int) -> str:
    """Its configuration file; a percent sign in a path is doubled, as supervisor reads it."""
    return _CONFIG.format(
        directory=str(directory).replace("%", "%%"),
        socket=str(socket).replace("%", "%%"),
        descriptors=min(
            _DESCRIPTORS, most_descriptors
        ),  # root may not raise it either, in a container
        user="user=root\n" if uid == 0 else "",
    )


async def start(directory: Path) -> None:
    """Start it, and return once it is a daemon; raises TemporaryError with what it said."""
    try:
        config = await asyncio.to_thread(_write, directory)
    except OSError as error:
        raise TemporaryError(f"supervisord did not start: {error}") from error
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "supervisor.supervisord", "-c", str(config)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        cwd="/",
        env=_environment(),
    )
    try:
        async with asyncio.timeout(_START_SECONDS):
            said, _ = await process.communicate()
    except TimeoutError as error:
        raise TemporaryError("supervisord did not become a daemon in time") from error
    finally:
        if process.returncode is None:  # too slow, or nobody wants it any more
            process.kill()
            await process.wait()
    if process.returncode:
        raise TemporaryError(f"supervisord did not start: {_reason(said.decode(errors='replace'))}")


def _reason(said: str) -> str:
    lines = said.strip().splitlines() or ["it said nothing"]
    errors = [line for line in lines if line.startswith("Error: ")]  # and then a hint at its --help
    return errors[0].removeprefix("Error: ") if errors else lines[-1]


def _write(directory: Path) -> Path:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    socket = make_socket_directory(directory)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    config = directory / "supervisord.conf"
    replace_file(config, configuration(directory, socket, os.getuid(), most).encode())
    return config


def _environment() -> dict[str, str]:
    # Not ours as it is: it can hold a join token, and a supervisord's children see it in /proc.
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    search = [str(Path(workers.__path__[0]).parent), os.environ.get("PYTHONPATH", "")]
    path = os.environ.get("PATH", os.defpath)
    return kept | {"PATH": path, "PYTHONPATH": os.pathsep.join(filter(None, search))}
