"""The backend of a cluster with several managers: etcd keeps the store, and says who may write.

    leader                       the election key: the leader's node id, gone when its lease ends
    store/version                the version of the last transaction, in decimal
    store/data-keys              which data keys the objects are under (key_record.py)
    store/resealed               written with objects that are what they were, sealed anew
    held/<etcd's number>         the data keys that this member has on its disk
    store/objects/<kind>/<id>    that transaction's version, 8 bytes, and the object, sealed

A commit is one etcd transaction that writes its rows and the version, on two conditions: the
election key is the one that this manager made, so that a deposed leader cannot write; and the
version is the one before it, so that the same commit, sent again because its answer was lost,
happens once. Followers apply the watch: all that one transaction did has one revision of etcd's.

client.py: the calls, and what their errors mean here. lease.py: campaign, notice loss;
keeper.py: keep alive.
shared_keys.py, key_record.py: the data keys, and how one follows on another.
keys.py: the layout above. backend.py: load, commit, follow.
transfer.py: a whole store, from elsewhere.
wal.py: etcd's log on the disk, while it does not run; crc32c.py: the checksum in it.
"""

from swarmd.store.etcd.backend import EtcdBackend
from swarmd.store.etcd.client import EtcdClient
from swarmd.store.etcd.lease import EtcdLease

__all__ = ["EtcdBackend", "EtcdClient", "EtcdLease"]
