"""Binds the handlers to the Control service.

The classes have no state of their own, so that their order does not matter: each call is one
handler, found by the name that the protos give it.
"""

from swarmd.api.protos import control_pb2_grpc
from workers.manager.control.clusters import Clusters
from workers.manager.control.configs import Configs
from workers.manager.control.extensions import Extensions, Resources
from workers.manager.control.networks import Networks
from workers.manager.control.nodes import Nodes
from workers.manager.control.secrets import Secrets
from workers.manager.control.services import Services
from workers.manager.control.tasks import Tasks
from workers.manager.control.volumes import Volumes


class ControlServicer(
    Services,
    Tasks,
    Nodes,
    Clusters,
    Networks,
    Secrets,
    Configs,
    Extensions,
    Resources,
    Volumes,
    control_pb2_grpc.ControlServicer,
):
    """Every call of the users' API; see handlers.Handlers for what it is made of."""
