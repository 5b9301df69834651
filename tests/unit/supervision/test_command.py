import sys
from pathlib import Path

import swarmd
from swarmd.supervision.command import worker_command, worker_environment
from swarmd.supervision.restarts import Limits


def test_a_worker_is_run_by_the_parents_interpreter_by_its_module_name():
    command = worker_command("agent")
    assert (sys.executable, "-P", "-m", "workers.agent") == command.argv


def test_the_agent_has_longer_to_stop_than_the_manager():
    assert (10.0, 8.0) == tuple(worker_command(n).grace_seconds for n in ("agent", "manager"))


def test_no_option_of_the_parent_is_inherited():
    inherited = {"SWARMD_JOIN_TOKEN": "SWMTKN-1", "SWARMD_UNLOCK_KEY": "key", "PATH": "/bin"}
    environment = worker_environment(inherited, Limits(), 5, 6)
    assert not {"SWARMD_JOIN_TOKEN", "SWARMD_UNLOCK_KEY"} & set(environment)
    assert "/bin" == environment["PATH"]


def test_a_worker_does_not_speak_to_systemd():
    inherited = {"NOTIFY_SOCKET": "/run/systemd/notify", "WATCHDOG_USEC": "1"}
    assert not set(inherited) & set(worker_environment(inherited, Limits(), 5, 6))


def test_a_worker_hears_of_the_supervisord_that_runs_swarmd():
    inherited = {"SUPERVISOR_SERVER_URL": "unix:///run/sv.sock", "SUPERVISOR_ENABLED": "1"}
    environment = worker_environment(inherited, Limits(), 5, 6)
    assert inherited == {name: environment[name] for name in inherited}


def test_a_worker_gets_its_ends():
    limits = Limits(alive_period_seconds=0.1, orphan_seconds=2)
    environment = worker_environment({}, limits, 5, 6)
    names = ("STATUS_FD", "LOCK_FD", "ALIVE_SECONDS", "ORPHAN_SECONDS")
    assert ["5", "6", "0.1", "2"] == [environment[f"SWARMD_{name}"] for name in names]


def test_a_worker_runs_the_same_tree_as_the_parent():
    tree = str(Path(swarmd.__file__).parent.parent)
    environment = worker_environment({"PYTHONPATH": "/mine"}, Limits(), 5, 6)
    assert f"{tree}:/mine" == environment["PYTHONPATH"]
