"""A real parent with fake workers: python node_program.py '{"state_dir": …, "manager": […], …}'.

Keys: state_dir, join_addr, manager and agent (behaviours of tests/fakes/worker.py), limits,
grace_seconds, log_level_file.
"""

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path

from swarmd.config import NodeConfig
from swarmd.node.node import Means
from swarmd.node.run import run_node
from swarmd.supervision.command import Command
from swarmd.supervision.restarts import Limits

WORKER = str(Path(__file__).with_name("worker.py"))


def main() -> None:
    options = json.loads(sys.argv[1])
    config = NodeConfig(
        hostname="host",
        state_dir=Path(options["state_dir"]),
        join_addr=options.get("join_addr", ""),
    )

    def command(name: str) -> Command:
        argv = (sys.executable, WORKER, name, *options.get(name, ()))
        return Command(argv, options.get("grace_seconds", 5.0))

    def reload() -> NodeConfig:
        return replace(config, log_level=Path(options["log_level_file"]).read_text().strip())

    means = Means(limits=Limits(**options.get("limits", {})), command=command)
    sys.exit(asyncio.run(run_node(config, reload, means)))


if __name__ == "__main__":
    main()
