"""The users' API: one handler for each call of docker.swarmkit.v1.Control.

A handler reads the request, makes one change of the store, and answers. It never waits for the
change to be carried out: the other components see it in the store, and clients watch it there.

- What can be judged from the request alone is judged first, by plain functions; what needs other
  objects, inside the transaction.
- A refusal is a SwarmError whose sentence names the field. Order, codes and sentences of the
  checks are SwarmKit's, since clients live by them; docs/differences.md has the exceptions.
- What comes out of the store is shared. Answers are filled by copying, and only then redacted:
  a secret's data and the keys of a cluster never leave by this door.

    server              binds the handlers, one class for each noun, to the one service
    handlers            what every handler has at hand
    services tasks nodes clusters networks secrets configs extensions volumes
                        the calls of each noun; extensions has those of resources too
    pages               lists in pages
    filters             list filters to store queries
    references          do the secrets, configs and networks exist that a service names
    root_rotation       a new root CA as asked by the user

and, pure:

    names durations image_names
                        what a name, a duration, an image's name may be
    payloads            the data of secrets and configs: how much, and that it stays
    service_checks task_checks container_checks port_checks
                        is a spec sound: the whole, its task, its container, its ports
"""
