"""Secret calls. Data comes in by CreateSecret and is kept back from every answer."""

from typing import Final

from swarmd import api, ids
from swarmd.errors import (
    AlreadyExistsError,
    InvalidArgumentError,
    NameConflictError,
    NotFoundError,
    SwarmError,
)
from swarmd.store import WriteTx, by
from workers.manager.control import filters, names, payloads
from workers.manager.control.handlers import Context, Handlers, MissingError, invalid_argument
from workers.manager.control.references import check_unused

_TOO_MANY_BYTES: Final = 500 * 1024


class Secrets(Handlers):
    async def CreateSecret(
        self, request: api.CreateSecretRequest, context: Context
    ) -> api.CreateSecretResponse:
        if not request.HasField("spec"):
            raise invalid_argument()
        _check_spec(request.spec)
        secret = api.Secret(id=ids.new_id(self._random), spec=request.spec)
        try:
            secret = await self._store.update(lambda tx: tx.secrets.create(secret))
        except NameConflictError as error:
            name = request.spec.annotations.name
            raise AlreadyExistsError(f"secret {name} already exists") from error
        return api.CreateSecretResponse(secret=without_data(secret))

    async def GetSecret(
        self, request: api.GetSecretRequest, context: Context
    ) -> api.GetSecretResponse:
        if not request.secret_id:
            raise InvalidArgumentError("secret ID must be provided")
        secret = self._store.view().secrets.get(request.secret_id)
        if secret is None:
            raise NotFoundError("secret", request.secret_id)
        return api.GetSecretResponse(secret=without_data(secret))

    async def ListSecrets(
        self, request: api.ListSecretsRequest, context: Context
    ) -> api.ListSecretsResponse:
        wanted = request.filters
        query = filters.any_given(
            (by.name, wanted.names),
            (by.name_prefix, wanted.name_prefixes),
            (by.id_prefix, wanted.id_prefixes),
        )
        secrets = [
            without_data(secret)
            for secret in self._store.view().secrets.find(query)
            if not secret.internal
            and filters.has_labels(secret.spec.annotations.labels, wanted.labels)
        ]
        return api.ListSecretsResponse(secrets=secrets)

    async def UpdateSecret(
        self, request: api.UpdateSecretRequest, context: Context
    ) -> api.UpdateSecretResponse:
        if not (request.secret_id and request.HasField("secret_version")):
            raise invalid_argument()

        def update(tx: WriteTx) -> api.Secret:
            secret = tx.secrets.copy(request.secret_id)
            if not request.HasField("spec"):
                raise invalid_argument()
            payloads.relabel(secret.spec, request.spec)
            secret.meta.version.CopyFrom(request.secret_version)
            return tx.secrets.update(secret)

        return api.UpdateSecretResponse(secret=without_data(await self._store.update(update)))

    async def RemoveSecret(
        self, request: api.RemoveSecretRequest, context: Context
    ) -> api.RemoveSecretResponse:
        if not request.secret_id:
            raise InvalidArgumentError("secret ID must be provided")

        def remove(tx: WriteTx) -> None:
            secret = tx.secrets.get(request.secret_id)
            if secret is None:
                raise MissingError(f"could not find secret {request.secret_id}")
            users = tx.services.find(by.referenced_secret(secret.id))
            check_unused("secret", secret.spec.annotations.name, users)
            volumes = [one for one in tx.volumes.find() if _uses(one, secret.id)]
            check_unused("secret", secret.spec.annotations.name, volumes, "volume")
            tx.secrets.delete(secret.id)

        await self._store.update(remove)
        return api.RemoveSecretResponse()


def without_data(secret: api.Secret) -> api.Secret:
    """A copy that can be shown."""
    shown = api.Secret()
    shown.CopyFrom(secret)
    shown.spec.ClearField("data")
    return shown


def _uses(volume: api.Volume, secret_id: str) -> bool:
    """A volume cannot be detached or deleted without its secrets."""
    return any(one.secret == secret_id for one in volume.spec.secrets)


def _check_spec(spec: api.SecretSpec) -> None:
    names.check_file_name(spec.annotations)
    if spec.HasField("driver"):
        if not spec.driver.name:
            raise InvalidArgumentError("secret driver must have a name")
        # Clients know it by UNKNOWN: there is nothing here that drivers are plugged into.
        raise SwarmError("no secret driver: plugin getter is nil")
    payloads.check_size("secret", spec.data, _TOO_MANY_BYTES)
