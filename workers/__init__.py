"""The programs that the parent starts; each folder is one process.

    workers.manager   the control API, the dispatcher, the CA, the leader's loops, the store
    workers.etcd      one member of the quorum that keeps the store of several managers
    workers.agent     a session with a manager, the tasks of this node, their executors

    workers.simulation  all of that in one process, under a virtual clock: `swarmd chaos` starts it

Manager and agent never import each other: they meet on the wire. program.py runs the main of each.
"""
