"""The figures that swarmd holds: `python -m bench` measures those of one node, as a table or JSON.

    node.py        one node: start, a killed worker, memory, creates, 1,000 tasks, stop
    figures.py     a figure, and how they are shown
    daemon.py      the real daemon that is measured, in a directory of its own
    join.py        python -m bench.join: one node and many joining, the remote port, a secret
    router.py      what the remote port costs, against plain grpcio; measured by join.py
    fleet/         python -m bench.fleet: many tasks on many simulated nodes
    store.py       python -m bench.store: transactions a second, on each backend
    backup.py      python -m bench.backup: backup and restore of 100,000 objects
    failover.py    python -m bench.failover: a quorum that loses its leader; its writes
    failing.py     how that is measured, of any managers
    writer.py      the client that does not get on meanwhile
    managers.py    swarmd's managers, real ones, on this host
    docker_managers.py  Docker Engine's, beside them
    large.py       a quorum with a large store; measured by failover.py
    simulation.py  python -m bench.simulation: simulated seconds and events a second
    scheduler.py   python -m bench.scheduler: placing up to a million tasks

Nothing here asserts: a loaded machine is no failure. docs/figures.md keeps what was measured, and
on what machine.
"""

import os

# What is measured starts as an installed program does: with byte code that was kept.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
