"""Compose files, version 3: from YAML to the specs of a stack.

    errors.py       what is wrong, and where, as one sentence
    reading.py      YAML to values, each with its line, in bounds
    variables.py    ${NAME} from the environment
    shapes.py       what a value may look like, and its canonical form
    short_forms.py  ports, volumes, commands and hosts, written short
    format.py       every key of the format: the one table
    env_file.py     files of NAME=VALUE lines
    merging.py      several files as one
    project.py      the files together: the way in
    services.py     a service's mapping to its spec
    mounts.py       … its volumes to mounts
    objects.py      networks, secrets and configs to their specs
    stack.py        all of it as one stack: the way out
    writing.py      the files together as one file again

Pure: the files' bytes, the environment and a way to read further files come in. Used by
swarmd.ctl.stack and stack_deploy alone; imports api, errors and ctl.service_mounts.
"""
