"""Config calls: as secrets, but everyone may see the data."""

from typing import Final

from swarmd import api, ids
from swarmd.errors import (
    AlreadyExistsError,
    InvalidArgumentError,
    NameConflictError,
    NotFoundError,
)
from swarmd.store import WriteTx, by
from workers.manager.control import filters, names, payloads
from workers.manager.control.handlers import Context, Handlers, MissingError, invalid_argument
from workers.manager.control.references import check_unused

_TOO_MANY_BYTES: Final = 1000 * 1024


class Configs(Handlers):
    async def CreateConfig(
        self, request: api.CreateConfigRequest, context: Context
    ) -> api.CreateConfigResponse:
        if not request.HasField("spec"):
            raise invalid_argument()
        _check_spec(request.spec)
        config = api.Config(id=ids.new_id(self._random), spec=request.spec)
        try:
            config = await self._store.update(lambda tx: tx.configs.create(config))
        except NameConflictError as error:
            name = request.spec.annotations.name
            raise AlreadyExistsError(f"config {name} already exists") from error
        return api.CreateConfigResponse(config=config)

    async def GetConfig(
        self, request: api.GetConfigRequest, context: Context
    ) -> api.GetConfigResponse:
        if not request.config_id:
            raise InvalidArgumentError("config ID must be provided")
        config = self._store.view().configs.get(request.config_id)
        if config is None:
            raise NotFoundError("config", request.config_id)
        return api.GetConfigResponse(config=config)

    async def ListConfigs(
        self, request: api.ListConfigsRequest, context: Context
    ) -> api.ListConfigsResponse:
        wanted = request.filters
        query = filters.any_given(
            (by.name, wanted.names),
            (by.name_prefix, wanted.name_prefixes),
            (by.id_prefix, wanted.id_prefixes),
        )
        configs = [
            config
            for config in self._store.view().configs.find(query)
            if filters.has_labels(config.spec.annotations.labels, wanted.labels)
        ]
        return api.ListConfigsResponse(configs=configs)

    async def UpdateConfig(
        self, request: api.UpdateConfigRequest, context: Context
    ) -> api.UpdateConfigResponse:
        if not (request.config_id and request.HasField("config_version")):
            raise invalid_argument()

        def update(tx: WriteTx) -> api.Config:
            config = tx.configs.copy(request.config_id)
            if not request.HasField("spec"):
                raise invalid_argument()
            payloads.relabel(config.spec, request.spec)
            config.meta.version.CopyFrom(request.config_version)
            return tx.configs.update(config)

        return api.UpdateConfigResponse(config=await self._store.update(update))

    async def RemoveConfig(
        self, request: api.RemoveConfigRequest, context: Context
    ) -> api.RemoveConfigResponse:
        if not request.config_id:
            raise InvalidArgumentError("config ID must be provided")

        def remove(tx: WriteTx) -> None:
            config = tx.configs.get(request.config_id)
            if config is None:
                raise MissingError(f"could not find config {request.config_id}")
            users = tx.services.find(by.referenced_config(config.id))
            check_unused("config", config.spec.annotations.name, users)
            tx.configs.delete(config.id)

        await self._store.update(remove)
        return api.RemoveConfigResponse()


def _check_spec(spec: api.ConfigSpec) -> None:
    names.check_file_name(spec.annotations)
    payloads.check_size("config", spec.data, _TOO_MANY_BYTES)
