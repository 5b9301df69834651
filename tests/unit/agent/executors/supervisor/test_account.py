"""Who a task runs as, on a host that has root and nobody."""

import grp
import os
import pwd

import pytest

from workers.agent.executors.errors import RejectedError
from workers.agent.executors.supervisor.account import resolve

NOBODY = pwd.getpwnam("nobody")
A_GROUP = grp.getgrall()[1]


@pytest.mark.parametrize("user", ["nobody", str(NOBODY.pw_uid)])
def test_a_user_is_a_name_or_a_number(user: str) -> None:
    found = resolve(user, [], supervisor_uid=0)
    assert (NOBODY.pw_uid, NOBODY.pw_gid, "nobody") == (found.uid, found.gid, found.name)


@pytest.mark.parametrize("group", [A_GROUP.gr_name, str(A_GROUP.gr_gid)])
def test_a_group_stands_behind_a_colon(group: str) -> None:
    found = resolve(f"nobody:{group}", [], supervisor_uid=0)
    assert (NOBODY.pw_uid, A_GROUP.gr_gid) == (found.uid, found.gid)


def test_further_groups_come_on_top() -> None:
    assert A_GROUP.gr_gid in resolve("nobody", [A_GROUP.gr_name], supervisor_uid=0).groups


def test_no_user_is_whom_supervisord_runs_as() -> None:
    assert NOBODY.pw_uid == resolve("", [], supervisor_uid=NOBODY.pw_uid).uid


def test_a_number_without_a_user_needs_its_group() -> None:
    found = resolve("54321:54322", [], supervisor_uid=0)
    assert (54321, 54322, (54322,)) == (found.uid, found.gid, found.groups)
    with pytest.raises(RejectedError, match="give the group too"):
        resolve("54321", [], supervisor_uid=0)


@pytest.mark.parametrize("user", ["nosuchuser", "nobody:nosuchgroup"])
def test_whom_this_host_does_not_know_is_refused(user: str) -> None:
    with pytest.raises(RejectedError, match=r"there is no"):
        resolve(user, [], supervisor_uid=0)


def test_a_supervisord_that_is_not_root_cannot_become_another() -> None:
    with pytest.raises(RejectedError, match=r"^user: supervisord is user 1: it cannot run a task"):
        resolve("nobody", [], supervisor_uid=1)


def test_a_supervisord_that_is_not_root_cannot_take_on_groups() -> None:
    other = max({group.gr_gid for group in grp.getgrall()} - {os.getgid(), *os.getgroups()})
    with pytest.raises(RejectedError, match=r"^groups: "):
        resolve("nobody", [str(other)], supervisor_uid=NOBODY.pw_uid)
