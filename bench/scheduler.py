"""The scheduler alone, in memory: seconds of processor time to place tasks on nodes.

    python -m bench.scheduler [--largest]

Nodes and tasks are real messages; building them is not counted, placing them (with the accounting
on each node) is. `--largest` adds 1,000,000 tasks on 100,000 nodes, which takes 2 GiB.
"""

import gc
import json
import random
import sys
import time
from dataclasses import asdict, dataclass

from swarmd import api
from workers.manager.scheduler.node_set import NodeSet
from workers.manager.scheduler.placement import place


@dataclass(frozen=True)
class Case:
    nodes: int
    tasks: int
    services: int
    constraints: bool
    target_seconds: float


CASES = [
    Case(1_000, 10_000, 1, constraints=False, target_seconds=0.2),
    Case(1_000, 10_000, 100, constraints=False, target_seconds=0.2),
    Case(5_000, 100_000, 10, constraints=True, target_seconds=3),
    Case(5_000, 100_000, 1_000, constraints=True, target_seconds=3),
]
LARGEST = [
    Case(100_000, 1_000_000, 10, constraints=False, target_seconds=60),
    Case(100_000, 1_000_000, 100, constraints=True, target_seconds=60),
]


def node_set(case: Case) -> NodeSet:
    nodes = NodeSet()
    for number in range(case.nodes):
        node = api.Node(id=f"node{number:021}")
        node.status.state = api.NodeStatus.State.READY
        node.spec.annotations.labels["zone"] = f"z{number % 3}"
        node.description.platform.os = "linux"
        node.description.resources.nano_cpus = 64_000_000_000
        node.description.resources.memory_bytes = 256 << 30
        nodes.put(node)
    return nodes


def groups(case: Case) -> list[list[api.Task]]:
    built = []
    for service in range(case.services):
        model = api.Task(service_id=f"service{service:018}", spec_version=api.Version(index=1))
        model.spec.container.image = "nginx"
        model.spec.resources.reservations.nano_cpus = 10_000_000
        model.spec.resources.reservations.memory_bytes = 16 << 20
        model.desired_state = api.TaskState.RUNNING
        if case.constraints:
            model.spec.placement.constraints.append("node.labels.zone != z1")
            model.spec.placement.constraints.append("node.platform.os == linux")
        each = case.tasks // case.services
        built.append([_task(model, service * each + number) for number in range(each)])
    return built


def _task(model: api.Task, number: int) -> api.Task:
    task = api.Task()
    task.CopyFrom(model)
    task.id = f"task{number:021}"
    return task


def measure(case: Case) -> dict[str, object]:
    nodes, waiting = node_set(case), groups(case)
    random.Random(0).shuffle(waiting)
    gc.collect()
    begun = time.process_time()
    placed = sum(len(place(nodes, group, now=0.0).assigned) for group in waiting)
    seconds = time.process_time() - begun
    return {**asdict(case), "placed": placed, "seconds": round(seconds, 3)}


def main() -> None:
    cases = CASES + (LARGEST if "--largest" in sys.argv else [])
    rows = []
    heads = ("nodes", "tasks", "services", "constraints", "seconds", "target")
    print("".join(f"{head:>12}" for head in heads))
    for case in cases:
        row = measure(case)
        rows.append(row)
        cells = (case.nodes, case.tasks, case.services, case.constraints, row["seconds"])
        print("".join(f"{cell!s:>12}" for cell in (*cells, case.target_seconds)), flush=True)
    if "--json" in sys.argv:
        print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
