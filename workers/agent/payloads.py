"""What a task finds in its secrets and configs: their data, filled in where they are templates.

A template of a payload may also read the task's variables, and the raw data of other secrets and
configs of the same task, each by the name of its file: {{env "A"}}, {{secret "b"}}, {{config "c"}}.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from swarmd import api
from swarmd.api import templates
from workers.agent.executors import Dependencies
from workers.agent.executors.errors import RejectedError

_LANGUAGE: Final = "golang"


class Payloads:
    """The payloads of one task; `spec` is its container spec, filled in."""

    def __init__(
        self,
        task: api.Task,
        spec: api.ContainerSpec,
        node: api.Node,
        dependencies: Dependencies,
    ) -> None:
        self._spec = spec
        self._secrets = dependencies.secrets
        self._configs = dependencies.configs
        self._context = templates.context(task, node)

    def secret(self, secret_id: str) -> bytes:
        """The secret's data; raises RejectedError."""
        if secret_id not in self._secrets:
            raise RejectedError(f"secrets: {secret_id} is not assigned to this node")
        spec = self._secrets[secret_id].spec
        return self._filled(f"secrets: {spec.annotations.name}", spec)

    def config(self, config_id: str) -> bytes:
        """The config's data; raises RejectedError."""
        if config_id not in self._configs:
            raise RejectedError(f"configs: {config_id} is not assigned to this node")
        spec = self._configs[config_id].spec
        return self._filled(f"configs: {spec.annotations.name}", spec)

    def _filled(self, what: str, spec: api.SecretSpec | api.ConfigSpec) -> bytes:
        if not spec.HasField("templating"):
            return spec.data
        if spec.templating.name != _LANGUAGE:
            raise RejectedError(f"{what}: there are no templates of kind {spec.templating.name!r}")
        functions = {"env": self._env, "secret": self._raw_secret, "config": self._raw_config}
        text = spec.data.decode(errors="surrogateescape")
        try:
            filled = templates.expand(text, self._context, functions)
        except templates.TemplateError as error:
            # Its own words could hold a part of the secret.
            raise RejectedError(f"{what}: its template cannot be filled in") from error
        return filled.encode(errors="surrogateescape")

    def _env(self, name: str) -> str:
        for entry in self._spec.env:
            found, equals, value = entry.partition("=")
            if equals and found == name:
                return value
        return ""

    def _raw_secret(self, file: str) -> str:
        ids = [each.secret_id for each in self._spec.secrets if each.file.name == file]
        return _raw(
            "secret", file, [self._secrets[each].spec.data for each in _known(ids, self._secrets)]
        )

    def _raw_config(self, file: str) -> str:
        ids = [each.config_id for each in self._spec.configs if each.file.name == file]
        return _raw(
            "config", file, [self._configs[each].spec.data for each in _known(ids, self._configs)]
        )


def _known(ids: Iterable[str], objects: Mapping[str, object]) -> list[str]:
    return [each for each in ids if each in objects]


def _raw(kind: str, file: str, found: list[bytes]) -> str:
    if not found:
        raise templates.TemplateError(f"{kind} target {file} not found")
    return found[0].decode(errors="surrogateescape")
