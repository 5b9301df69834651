"""The service as a whole."""

from swarmd.api.protos import control_pb2
from workers.manager.control.server import ControlServicer


def test_every_call_of_the_protos_has_a_handler() -> None:
    service = control_pb2.DESCRIPTOR.services_by_name["Control"]
    handlers = {method.name: getattr(ControlServicer, method.name) for method in service.methods}
    generated = [n for n, h in handlers.items() if h.__module__.startswith("swarmd.api.protos")]
    assert [] == generated
