"""Extension and resource calls: kinds of objects that users add, and objects of those kinds."""

from typing import Final

from swarmd import api, ids
from swarmd.errors import (
    AlreadyExistsError,
    InvalidArgumentError,
    NameConflictError,
    NotFoundError,
    OutOfSequenceError,
    SwarmError,
)
from swarmd.store import ReadTx, WriteTx, by
from workers.manager.control import filters
from workers.manager.control.handlers import Context, Handlers, MissingError
from workers.manager.control.references import plural

# An extension with such a name could not be told from the kind that is built in.
_BUILT_IN: Final = frozenset(
    {
        "cluster",
        "config",
        "extension",
        "network",
        "node",
        "resource",
        "secret",
        "service",
        "task",
        "volume",
    }
)
_MOST_NAMED: Final = 10  # there can be thousands of resources that keep an extension


class Extensions(Handlers):
    async def CreateExtension(
        self, request: api.CreateExtensionRequest, context: Context
    ) -> api.CreateExtensionResponse:
        name = request.annotations.name
        if not name:
            raise InvalidArgumentError("extension name must be provided")
        extension = api.Extension(
            id=ids.new_id(self._random),
            annotations=request.annotations,
            description=request.description,
        )
        taken = AlreadyExistsError(f"extension {name} already exists")
        if name in _BUILT_IN:
            raise taken
        try:
            extension = await self._store.update(lambda tx: tx.extensions.create(extension))
        except NameConflictError as error:
            raise taken from error
        return api.CreateExtensionResponse(extension=extension)

    async def GetExtension(
        self, request: api.GetExtensionRequest, context: Context
    ) -> api.GetExtensionResponse:
        if not request.extension_id:
            raise InvalidArgumentError("extension ID must be provided")
        extension = self._store.view().extensions.get(request.extension_id)
        if extension is None:
            raise NotFoundError("extension", request.extension_id)
        return api.GetExtensionResponse(extension=extension)

    async def RemoveExtension(
        self, request: api.RemoveExtensionRequest, context: Context
    ) -> api.RemoveExtensionResponse:
        if not request.extension_id:
            raise InvalidArgumentError("extension ID must be provided")
        await self._store.update(lambda tx: _remove_extension(tx, request.extension_id))
        return api.RemoveExtensionResponse()


class Resources(Handlers):
    async def CreateResource(
        self, request: api.CreateResourceRequest, context: Context
    ) -> api.CreateResourceResponse:
        if not request.annotations.name:
            raise InvalidArgumentError("Resource must have a name")
        if not request.kind:
            raise InvalidArgumentError("Resource must belong to an Extension")
        resource = api.Resource(
            id=ids.new_id(self._random), annotations=request.annotations, kind=request.kind
        )
        if request.HasField("payload"):
            resource.payload.CopyFrom(request.payload)
        return api.CreateResourceResponse(
            resource=await self._store.update(lambda tx: _create_resource(tx, resource))
        )

    async def GetResource(
        self, request: api.GetResourceRequest, context: Context
    ) -> api.GetResourceResponse:
        if not request.resource_id:
            raise InvalidArgumentError("resource ID must be present")
        resource = self._store.view().resources.get(request.resource_id)
        if resource is None:
            raise NotFoundError("resource", request.resource_id)
        return api.GetResourceResponse(resource=resource)

    async def ListResources(
        self, request: api.ListResourcesRequest, context: Context
    ) -> api.ListResourcesResponse:
        wanted = request.filters
        query = filters.any_given(
            (by.name, wanted.names),
            (by.name_prefix, wanted.name_prefixes),
            (by.id_prefix, wanted.id_prefixes),
        )
        if query is None and wanted.kind:
            query = by.kind(wanted.kind)
        resources = [
            resource
            for resource in self._store.view().resources.find(query)
            if filters.has_labels(resource.annotations.labels, wanted.labels)
            and wanted.kind in ("", resource.kind)
        ]
        return api.ListResourcesResponse(resources=resources)

    async def UpdateResource(
        self, request: api.UpdateResourceRequest, context: Context
    ) -> api.UpdateResourceResponse:
        if not (request.resource_id and request.HasField("resource_version")):
            raise InvalidArgumentError("must include ID and version")
        try:
            resource = await self._store.update(lambda tx: _update_resource(tx, request))
        except OutOfSequenceError as error:  # the one kind whose clients know it by this code
            raise InvalidArgumentError(str(error)) from error
        return api.UpdateResourceResponse(resource=resource)

    async def RemoveResource(
        self, request: api.RemoveResourceRequest, context: Context
    ) -> api.RemoveResourceResponse:
        if not request.resource_id:
            raise InvalidArgumentError("resource ID must be present")
        await self._store.update(lambda tx: tx.resources.delete(request.resource_id))
        return api.RemoveResourceResponse()


def _remove_extension(tx: WriteTx, extension_id: str) -> None:
    extension = tx.extensions.get(extension_id)
    if extension is None:
        raise MissingError(f"could not find extension {extension_id}")
    name = extension.annotations.name
    users = [one.annotations.name for one in tx.resources.find(by.kind(name))]
    if users:
        shown = ", ".join(users[:_MOST_NAMED])
        # Clients know it by UNKNOWN; that it says which resources is ours.
        raise SwarmError(
            "cannot delete extension because objects of this type exist in the data store: "
            f"{plural('resource', users)} {shown}"
        )
    tx.extensions.delete(extension_id)


def _create_resource(tx: WriteTx, resource: api.Resource) -> api.Resource:
    name = resource.annotations.name
    if not _is_registered(tx, resource.kind):
        raise InvalidArgumentError(f"Kind {resource.kind} is not registered")
    if tx.resources.find(by.name(name)):  # of any kind
        raise AlreadyExistsError(f"A resource with name {name} already exists")
    return tx.resources.create(resource)


def _update_resource(tx: WriteTx, request: api.UpdateResourceRequest) -> api.Resource:
    resource = tx.resources.copy(request.resource_id)
    if request.HasField("annotations"):
        if request.annotations.name != resource.annotations.name:
            raise InvalidArgumentError("cannot change resource name")
        resource.annotations.CopyFrom(request.annotations)
    resource.meta.version.CopyFrom(request.resource_version)
    if request.HasField("payload"):
        resource.payload.CopyFrom(request.payload)
    if not _is_registered(tx, resource.kind):
        raise SwarmError("object kind is unregistered")
    return tx.resources.update(resource)


def _is_registered(tx: ReadTx, kind: str) -> bool:
    return bool(tx.extensions.find(by.name(kind)))
