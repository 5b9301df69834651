"""The figures that swarmd holds: `python -m bench` measures those of one node, as a table or JSON.

    node.py        one node: start, a killed worker, memory, creates, 1,000 tasks, stop
    daemon.py      the real daemon that node.py measures, in a directory of its own
    store.py       python -m bench.store: transactions a second, on each backend
    scheduler.py   python -m bench.scheduler: placing up to a million tasks

Nothing here asserts: a loaded machine is no failure. docs/figures.md keeps what was measured, and
on what machine.
"""
