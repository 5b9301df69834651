"""Keeping one worker process in its wanted state; the node calls, the workers are known by name.

    command.py     what to execute, with which environment
    child.py       one process from spawn to exit: its two pipes, TERM, KILL
    exits.py       the ends of processes: to wait for one, and to name it
    life.py        one life of a worker: what it said, a watchdog beside it, its stop
    phases.py      what a worker can go through, in supervisord's words, as a table
    restarts.py    when to start it again, and when to give up (pure)
    supervisor.py  Supervisor.run: one life after the other

A worker is executed, never forked: gRPC does not survive a fork. It is the leader of a session of
its own, so that a terminal's Ctrl+C reaches the parent alone. It is killed alone, without its
process group: what it started may have to outlive it.
"""
