"""Several compose files as one: the later file adds to the earlier, or overrides it (pure).

Mappings are merged key by key, and lists joined. Otherwise go: what a list's entries are known by
(a later entry with the same one takes the place of the earlier), and lists that are one value.
"""

from collections.abc import Callable
from typing import Any, Final

_ONE_VALUE: Final = frozenset({"command", "entrypoint", "test", "aliases"})
_KNOWN_BY: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    "ports": lambda port: (port.get("published") or (port["target"],), port["protocol"]),
    "volumes": lambda volume: volume["target"],
    "secrets": lambda reference: reference["source"],
    "configs": lambda reference: reference["source"],
}


def merge(base: Any, override: Any, key: str = "") -> Any:
    """Two files in their canonical form, or what stands under that key in each."""
    if isinstance(base, dict) and isinstance(override, dict):
        if key == "logging" and base.get("driver") != override.get("driver", base.get("driver")):
            return override
        both = {name: merge(base[name], override[name], name) for name in base if name in override}
        return {**base, **override, **both}
    if not (isinstance(base, list) and isinstance(override, list)) or key in _ONE_VALUE:
        return override
    known_by = _KNOWN_BY.get(key)
    if known_by is None:
        return base + [one for one in override if one not in base]
    return list({known_by(one): one for one in (*base, *override)}.values())
