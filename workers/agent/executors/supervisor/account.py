"""Who a task runs as: a user, a group and further groups of this host, by name or number."""

import grp
import os
import pwd
from collections.abc import Sequence
from dataclasses import dataclass

from workers.agent.executors.errors import RejectedError


@dataclass(frozen=True, slots=True)
class Account:
    """One identity, resolved."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    name: str
    home: str


def resolve(user: str, groups: Sequence[str], supervisor_uid: int) -> Account:
    """`user` is a user, `user:group` or nothing, which is whom supervisord runs as.

    Raises RejectedError for whom this host does not know, or supervisord may not become.
    """
    who, _, group = user.partition(":")
    entry = _user(who or str(supervisor_uid))
    if entry is None and not (who.isdigit() and group):
        hint = "; with a number, give the group too, as in 1000:1000" if who.isdigit() else ""
        raise RejectedError(f"user: there is no user {who or supervisor_uid} on this host{hint}")
    uid = entry.pw_uid if entry else int(who)
    gid = _group(group) if group or entry is None else entry.pw_gid
    own = os.getgrouplist(entry.pw_name, gid) if entry else [gid]
    account = Account(
        uid=uid,
        gid=gid,
        groups=tuple(dict.fromkeys([*own, *(_group(name) for name in groups)])),
        name=entry.pw_name if entry else who,
        home=entry.pw_dir if entry else "/",
    )
    _check_reachable(account, supervisor_uid, asked=bool(user or groups))
    return account


def _check_reachable(account: Account, supervisor_uid: int, *, asked: bool) -> None:
    if supervisor_uid == 0 or not asked:
        return
    if account.uid != supervisor_uid:
        raise RejectedError(
            f"user: supervisord is user {supervisor_uid}: it cannot run a task as {account.uid}"
        )
    held = {os.getgid(), *os.getgroups()}
    if not {account.gid, *account.groups} <= held:
        raise RejectedError("groups: supervisord is not root, so it cannot take on other groups")


def _user(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
    except KeyError:
        return None


def _group(name: str) -> int:
    if name.isdigit():
        return int(name)
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise RejectedError(f"groups: there is no group {name or '(empty)'} on this host") from None
