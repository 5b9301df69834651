"""The supervisord that runs swarmd: the file it is started with, and its XML-RPC.

`swarmd start` takes the project's supervisord.conf, puts the state directory's paths and the given
options in, and keeps the result in the state directory, so that `supervisorctl -c` can use it too.
"""

import configparser
import getpass
import itertools
import resource
import shlex
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
from supervisor import datatypes
from supervisor.xmlrpc import SupervisorTransport

from swarmd.cli.options import without_options
from swarmd.errors import UnavailableError
from swarmd.state_dir import StateDir, make_socket_directory, replace_file, supervisord_socket

PROGRAM: Final = "swarmd"
_BOOT_SECONDS: Final = 15.0
_STOP_SECONDS: Final = 40.0  # longer than stopwaitsecs, after which it is killed
_POLL_SECONDS: Final = 0.05
_INSTALLED: Final = Path("/etc/swarmd/supervisord.conf")
_SHIPPED: Final = ("supervisord.conf", "../supervisord.conf")  # in a package; in a checkout


def shipped_conf() -> Path:
    """This host's supervisord.conf, else the project's; raises UnavailableError without either."""
    package = Path(__file__).resolve().parents[1]
    for path in (_INSTALLED, *(package / name for name in _SHIPPED)):
        if path.is_file():
            return path.resolve()
    message = f"supervisord.conf is neither in {package} nor beside it: install swarmd again"
    raise UnavailableError(message)


def render(shipped: str, state_dir: StateDir, variables: Mapping[str, str]) -> str:
    """The shipped configuration, for this state directory and these SWARMD_* options.

    Raises click.UsageError for what supervisord's own configuration cannot hold.
    """
    if "%" in str(state_dir.root):
        # It expands some values once and others twice, so that no spelling serves all of them.
        raise click.UsageError(f"{state_dir.root}: supervisord takes no path with a percent sign")
    conf = configparser.RawConfigParser(inline_comment_prefixes=(";",))
    conf.read_string(shipped)
    for section in conf.sections():
        for key, value in conf.items(section):
            moved = value.replace("/var/lib/swarmd", _literal(str(state_dir.root)))
            conf.set(section, key, moved)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    socket = _literal(str(supervisord_socket(state_dir.root)))
    conf.set("unix_http_server", "file", socket)
    conf.set("supervisorctl", "serverurl", f"unix://{socket}")
    conf.set("supervisord", "user", getpass.getuser())
    conf.set("supervisord", "minfds", str(min(conf.getint("supervisord", "minfds"), hard)))
    program = f"program:{PROGRAM}"
    conf.set(program, "command", _literal(shlex.join([sys.executable, "-m", "swarmd", "run"])))
    given = {**variables, "SWARMD_STATE_DIR": str(state_dir.root)}
    pairs = (f'{name}="{_quoted(value)}"' for name, value in sorted(given.items()))
    conf.set(program, "environment", ",".join(pairs))
    lines = ["; Made by `swarmd start`, and made anew each time: change supervisord.conf instead."]
    for section in conf.sections():
        lines += ["", f"[{section}]", *(f"{key}={value}" for key, value in conf.items(section))]
    return "\n".join(lines) + "\n"


def _literal(text: str) -> str:
    return text.replace("%", "%%")  # supervisord expands %(…)s in every value


def _quoted(text: str) -> str:
    if '"' in text or "\n" in text:
        message = (
            f"{text!r} cannot stand in supervisord.conf: put it into a file, and give --config"
        )
        raise click.UsageError(message)
    return _literal(text)


def options_before(state_dir: StateDir) -> dict[str, str]:
    """The SWARMD_* options of the last start, as its configuration file has them; or none."""
    conf = configparser.RawConfigParser()
    conf.read(conf_path(state_dir))
    text = conf.get(f"program:{PROGRAM}", "environment", fallback="")
    found = datatypes.dict_of_key_value_pairs(text).items()
    return {name: value.replace("%%", "%") for name, value in found}


@dataclass(frozen=True, slots=True)
class Supervisord:
    """One supervisord, by its unix socket; every call is blocking, and raises UnavailableError."""

    socket_path: Path

    def answers(self) -> bool:
        """Whether one runs there, with our plugin or without."""
        try:
            self.call("supervisor.getState")
        except UnavailableError:
            return False
        return True

    def call(self, method: str, *arguments: Any) -> Any:
        """One XML-RPC call; a fault of the method itself is raised as xmlrpc.client.Fault."""
        transport = SupervisorTransport(None, None, f"unix://{self.socket_path}")
        proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
        call: Any = proxy
        for name in method.split("."):
            call = getattr(call, name)
        try:
            return call(*arguments)
        except (OSError, xmlrpc.client.ProtocolError, ValueError) as error:
            message = f"no supervisord answers at {self.socket_path}: {error}"
            raise UnavailableError(message) from error
        finally:
            transport.close()

    def program(self) -> dict[str, Any] | None:
        """Supervisor's own words on the program swarmd, or None when it has no such program."""
        try:
            info: dict[str, Any] = self.call("supervisor.getProcessInfo", PROGRAM)
        except xmlrpc.client.Fault:
            return None
        return info

    def tasks(self) -> list[dict[str, Any]]:
        """Supervisor's own words on every other program: this node's tasks."""
        infos: list[dict[str, Any]] = self.call("supervisor.getAllProcessInfo")
        return [info for info in infos if info["name"] != PROGRAM]

    def conf(self) -> Path | None:
        """The file it was started with; None where that cannot be told."""
        import psutil  # noqa: PLC0415 - two commands ask

        try:
            command = psutil.Process(self.call("supervisor.getPID")).cmdline()
        except psutil.Error:
            return None
        follows = dict(itertools.pairwise(command))
        path = follows.get("-c") or follows.get("--configuration")
        return Path(path) if path else None


def conf_path(state_dir: StateDir) -> Path:
    return state_dir.root / "supervisord.conf"


def launch(state_dir: StateDir, variables: Mapping[str, str]) -> Supervisord:
    """Start a supervisord for this state directory; returns when it answers.

    Its conf starts the program too. Raises UnavailableError with its own words when it fails.
    """
    supervisord = Supervisord(make_socket_directory(state_dir.root))
    write_conf(state_dir, variables)
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(conf_path(state_dir))]
    done = subprocess.run(  # noqa: S603 - our own interpreter and our own file
        command,
        cwd="/",
        env=without_options(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    deadline = time.monotonic() + _BOOT_SECONDS
    while done.returncode == 0 and time.monotonic() < deadline:
        if supervisord.answers():
            return supervisord
        time.sleep(_POLL_SECONDS)
    reason = _reason(done.stderr or done.stdout)
    raise UnavailableError(f"supervisord did not start with {conf_path(state_dir)}: {reason}")


def _wait_stopped(supervisord: Supervisord) -> None:
    """An end that is under way takes at most what the conf allows; raises UnavailableError."""
    deadline = time.monotonic() + _STOP_SECONDS
    while (info := supervisord.program()) and info["statename"] == "STOPPING":
        if time.monotonic() > deadline:
            raise UnavailableError(f"swarmd is stopping, and does not end: {info['description']}")
        time.sleep(_POLL_SECONDS)


def _reason(said: str) -> str:
    """The line with the error: supervisord's help, or a traceback's middle, stands around it."""
    lines = [line for line in said.splitlines() if line.strip() and "For help" not in line]
    errors = [line for line in lines if line.startswith("Error")]
    return (errors or lines or ["it said nothing"])[-1]


def write_conf(state_dir: StateDir, variables: Mapping[str, str]) -> None:
    """Put the configuration and the directories that it names in place; raises OSError."""
    (state_dir.root / "log").mkdir(mode=0o700, parents=True, exist_ok=True)
    text = render(shipped_conf().read_text(encoding="utf-8"), state_dir, variables)
    replace_file(conf_path(state_dir), text.encode())


def start_program(
    supervisord: Supervisord, state_dir: StateDir, variables: Mapping[str, str]
) -> None:
    """Start swarmd under a supervisord that runs, with the options as they are now.

    Raises UsageError for options when that supervisord was started with a file of the operator's.
    """
    conf = supervisord.conf()
    if conf == conf_path(state_dir):
        write_conf(state_dir, variables)
    elif set(variables) - {"SWARMD_STATE_DIR"}:
        message = (
            f"supervisord runs with {conf}: set options there, or in a file named by --config."
        )
        raise click.UsageError(message)
    supervisord.call("supervisor.reloadConfig")
    info = supervisord.program()
    if info is not None and info["statename"] in ("RUNNING", "STARTING"):
        return
    if info is not None:
        if info["statename"] == "BACKOFF":
            supervisord.call("supervisor.stopProcess", PROGRAM)
        _wait_stopped(supervisord)
        # Only a program that is added again takes changed settings.
        supervisord.call("supervisor.removeProcessGroup", PROGRAM)
    supervisord.call("supervisor.addProcessGroup", PROGRAM)  # its conf starts it
