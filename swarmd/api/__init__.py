"""The objects everyone speaks of, under their plain names, and pure questions about them.

`api.Task`, `api.TaskState.RUNNING`, `api.CreateServiceRequest` … are the messages and enums of
package docker.swarmkit.v1, made from protos/ by generate.py. A message that came out of the store
is never changed in place: copy it first.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf import message
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

from swarmd.api.protos.ca_pb2 import *
from swarmd.api.protos.control_pb2 import *
from swarmd.api.protos.dispatcher_pb2 import *
from swarmd.api.protos.health_pb2 import *
from swarmd.api.protos.logbroker_pb2 import *
from swarmd.api.protos.objects_pb2 import *
from swarmd.api.protos.raft_pb2 import *
from swarmd.api.protos.resource_pb2 import *
from swarmd.api.protos.snapshot_pb2 import *
from swarmd.api.protos.specs_pb2 import *
from swarmd.api.protos.types_pb2 import *
from swarmd.api.protos.watch_pb2 import *


def _enums(found: Iterable[Any]) -> Iterator[Any]:
    """All that are among these, or within messages that are."""
    for one in found:
        if isinstance(one, EnumTypeWrapper):
            yield one
        elif isinstance(one, type) and issubclass(one, message.Message):
            within = (*one.DESCRIPTOR.enum_types_by_name, *one.DESCRIPTOR.nested_types_by_name)
            yield from _enums(getattr(one, name) for name in within)


# A member is looked up by a function of protobuf's each time; as a plain attribute it costs a
# tenth, and the loops of the manager ask for some with each task.
for _enum in _enums(list(globals().values())):
    vars(_enum).update(_enum.items())
