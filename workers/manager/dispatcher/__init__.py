"""The agents' API, and the life of a session.

An agent opens Session: its node is READY from then on, and gets a session id (`sessions`). It sends
a Heartbeat each period, and any call of its session is a sign of life too. A node whose grace runs
out is DOWN (`heartbeats`), counted in time in which we could listen (`attention`); its streams end.
Assignments tells it what its node should run, as a full set and then as differences
(`assignments`); what became of the tasks comes back through UpdateTaskStatus, and reaches the store
in batches (`status_updates`). Tasks of a node that is DOWN for a day are orphans (`orphans`). A new
leader knows no session: every node is UNKNOWN until its agent comes back, or its grace is over.

One watcher of the store serves all sessions (`server`), which wake a few at a time (`turns`), and
are told what there is to tell (`messages`). The leader's component list runs it. It
imports the store, the messages, and who calls.
"""
