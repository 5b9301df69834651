"""A cluster of SwarmKit's own managers, Docker's among them, becomes one of swarmd's.

    a stopped manager's directory ─▶ stopped_manager ─┐
                                                      ├─▶ Found ─▶ adaptation ─▶ new_state
    a live manager's control socket ─▶ live_manager ──┘

The source is opened for reading only. What is lost on the way is said line by line: a Remark has
the object, and a sentence.

    found            what either source gives, and remarks
    stopped_manager  the state directory of a manager that does not run: certificates, keys, store
    raft_directory   its store: the newest snapshot, and the log behind it
    raft_log         etcd's write-ahead log, behind that snapshot
    sealed_records   opens what is sealed under the data key, or the unlock key
    live_manager     the control API of a manager that runs: all but secrets and keys
    adaptation       what the objects become on a single manager of ours (pure)
    new_state        the new state directory, whole or not at all

Called by `swarmd import`; imports store, rpc, security, api.
"""
