"""A parsed template."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Operand:
    """A value: `kind` is dot, variable, literal, nil, function or pipeline; then its fields.

    It stands at source[start:end]; `at` is where messages say that it is.
    """

    kind: str
    value: object
    fields: tuple[str, ...]
    start: int
    end: int
    at: int


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands, each of which gets the result of the one before; the last may be named."""

    variables: tuple[str, ...]
    declares: bool
    commands: tuple[tuple[Operand, ...], ...]


@dataclass(frozen=True, slots=True)
class Block:
    """An if, with or range, and its else."""

    keyword: str
    pipeline: Pipeline
    body: "Nodes"
    otherwise: "Nodes"


Node = str | Pipeline | Block
Nodes = tuple[Node, ...]
