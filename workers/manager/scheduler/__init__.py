"""Pending tasks get nodes: filter, rank, spread, commit.

`Scheduler.run` keeps a picture of all nodes (`node_set`, `node_info`) from the store's events.
Tasks of one service and spec version are alike, so they are placed as a group: the nodes are
filtered once for all of them (`filters`), each fitting node has room for so many, and the tasks
are dealt out by counting (`spread`, `placement`). `decisions` go in batches, each of them checked
against the store as it is then. Tasks with cluster volumes go one by one, as each takes of what
there is (`volumes`). What does not fit waits (`backlog`) until a node changes or a task
ends, and its status says why. All of it is pure but `scheduler`, which watches and commits.

`explain_api` answers why a task waits, or a node has none: `verdicts` asks the same filters one by
one, and says by what they decided.

The leader's component list runs it. It imports the store, the messages and the constraints.
"""
