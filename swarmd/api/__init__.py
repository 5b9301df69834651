"""The objects everyone speaks of, under their plain names, and pure questions about them.

`api.Task`, `api.TaskState.RUNNING`, `api.CreateServiceRequest` … are the messages and enums of
package docker.swarmkit.v1, made from protos/ by generate.py. A message that came out of the store
is never changed in place: copy it first.
"""

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
