"""A project as a compose file again, for `stack config`: read once more, it is the same (pure)."""

from typing import Any

import yaml

from swarmd.ctl.compose.reading import resolve


class _Dumper(yaml.SafeDumper):
    """Quotes what reading.py would not take for text; writes nothing as an alias."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's own signature
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if isinstance(resolve(text), str) else "'"
    if not text.replace("\n", "").isprintable():  # line breaks of Unicode's, that YAML would fold
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def write(value: dict[str, Any], *, escape: bool = True) -> str:
    """YAML; each $ is doubled, so that it is no variable, unless they were never filled in."""
    return yaml.dump(
        _escaped(value) if escape else value, Dumper=_Dumper, allow_unicode=True, width=10_000
    )


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, dict):
        return {key: _escaped(one) for key, one in value.items()}
    return [_escaped(one) for one in value] if isinstance(value, list) else value
