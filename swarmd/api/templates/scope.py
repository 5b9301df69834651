"""A template's variables: what is declared in a block hides the outer ones and ends with it."""

from collections.abc import Iterator
from contextlib import contextmanager

from swarmd.api.templates.errors import TemplateError


class Scope:
    """Values by name; looking one up takes the same time however many there are."""

    def __init__(self) -> None:
        self._values: dict[str, list[object]] = {}
        self._declared: list[str] = []

    def __contains__(self, name: str) -> bool:
        return bool(self._values.get(name))

    def __getitem__(self, name: str) -> object:
        return self._known(name)[-1]

    def declare(self, name: str, value: object = None) -> None:
        """A new variable, up to the end of the block."""
        self._values.setdefault(name, []).append(value)
        self._declared.append(name)

    def assign(self, name: str, value: object) -> None:
        """A new value for the innermost variable of that name."""
        self._known(name)[-1] = value

    @contextmanager
    def block(self) -> Iterator[None]:
        """Ends what was declared inside."""
        mark = len(self._declared)
        try:
            yield
        finally:
            while len(self._declared) > mark:
                self._values[self._declared.pop()].pop()

    def _known(self, name: str) -> list[object]:
        values = self._values.get(name)
        if not values:
            raise TemplateError(f'template: expansion: undefined variable "{name}"')
        return values
