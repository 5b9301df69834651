"""The daemon's commands: words in, words out.

main.py              the click group, and run: options to NodeConfig, then the node
options.py           every option of a node: flag, SWARMD_* variable, key of the TOML file
service.py           start, stop, restart, reload
membership.py        join, leave
stepping_down.py     one of several managers becomes a worker, before it leaves
containers.py        ends the containers of a node that does not run
unlock.py            unlock
restore.py           restore: a backup's cluster goes on here
store.py             store check, dump and object
import_swarm.py      import: a swarm of SwarmKit's or Docker's
chaos.py             chaos: the simulation, as a program of its own
join_settings.py     what join was told, until the node has joined
logs.py              what they logged
supervisord.py       the supervisord that runs swarmd: its configuration file, its XML-RPC
status.py            what runs, in what state, as a table or JSON
node_report.py       what the parent last wrote of itself, and whether it lives
"""
