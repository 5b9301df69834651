"""Lists in pages: Control's own answers, each cut into messages that any client takes."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from google.protobuf.message import Message

from swarmd.api.protos import pages_pb2_grpc
from workers.manager.control.handlers import Context

_PAGE_BYTES: Final = 1 << 20


def _paged(name: str) -> Any:
    async def call(self: Any, request: Any, context: Context) -> AsyncIterator[Any]:
        for page in pages(await getattr(self.control, name)(request, context)):
            yield page

    call.__name__ = name
    return call


class PagesServicer(pages_pb2_grpc.PagesServicer):
    """Serves swarmd.v1.Pages out of the ControlServicer's answers."""

    def __init__(self, control: Any) -> None:
        self.control = control

    ListClusters = _paged("ListClusters")
    ListConfigs = _paged("ListConfigs")
    ListNetworks = _paged("ListNetworks")
    ListNodes = _paged("ListNodes")
    ListResources = _paged("ListResources")
    ListSecrets = _paged("ListSecrets")
    ListServices = _paged("ListServices")
    ListTasks = _paged("ListTasks")
    ListVolumes = _paged("ListVolumes")


def pages(reply: Message, most_bytes: int = _PAGE_BYTES) -> Iterator[Message]:
    """The reply's one list in messages of so many bytes; an object alone may have more."""
    (field,) = reply.DESCRIPTOR.fields
    page, size = type(reply)(), 0
    for one in getattr(reply, field.name):
        more = one.ByteSize()
        if size and size + more > most_bytes:
            yield page
            page, size = type(reply)(), 0
        getattr(page, field.name).append(one)
        size += more
    yield page
