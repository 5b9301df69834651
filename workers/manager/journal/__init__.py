"""The journal: what was decided about tasks, services and nodes, and why.

It asks nobody. Who decides changes the store, and what was decided, with its reason, can be read
from the changes of one transaction: a task that is told to stop beside one that takes its place, a
node that went down, a service that is gone.

    journal.py       Journal.run: watches, gathers for a moment, writes pages; keeps them few
    task_notes.py    from the changes of a transaction to what they say of tasks (pure)
    other_notes.py   … and of services, nodes and breakers (pure)
    entries.py       notes that are alike become one entry (pure)
    pages.py         which pages are kept: by count and bytes, for each owner and over all (pure)
    reading.py       the entries about one subject (pure)
    server.py        the Journal service: lists entries, and lets them be watched

An entry is durable a tenth of a second after the decision. Imports: store, api, base.
"""
