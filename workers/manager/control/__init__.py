"""The users' API: one handler for each call of docker.swarmkit.v1.Control.

A handler reads the request, makes one change of the store, and answers. It never waits for the
change to be carried out: the other components see it in the store, and clients watch it there.

- What can be judged from the request alone is judged first, by plain functions (`*_checks`,
  `names`, `image_names`, `durations`); what needs other objects, inside the transaction.
- A refusal is a SwarmError whose sentence names the field. Order, codes and sentences of the
  checks are SwarmKit's, since clients live by them; docs/differences.md has the exceptions.
- What comes out of the store is shared. Answers are filled by copying, and only then redacted:
  a secret's data and the keys of a cluster never leave by this door.

server.py binds the handlers, one class for each noun, to the one service.
"""
