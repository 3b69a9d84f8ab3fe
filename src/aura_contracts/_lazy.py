"""Lazy exports: a package imports a name when it is first used.

    from typing import TYPE_CHECKING

    from aura_contracts._lazy import export_lazily

    if TYPE_CHECKING:
        from aura_store._open import open_log as open_log

    export_lazily(__name__)

Each name is written once, in an import that type checkers read and Python never runs. `export_lazily` reads the same
imports from the module's source and sets ``__all__``, ``__dir__`` and ``__getattr__``, but on the module object, so
type checkers see no ``__getattr__`` and still find misspelt names.
"""

import re
import sys
from importlib import import_module
from types import ModuleType
from typing import Any, Final

_EXPORT: Final = re.compile(r"^    from (\S+) import (\w+) as \2$", re.MULTILINE)
"""One export, as `ruff format` leaves it. Parsing the module would take ten times as long."""


def export_lazily(package: str) -> None:
    """Make the module named `package` export the names it imports under ``if TYPE_CHECKING``."""
    module = sys.modules[package]
    homes = dict(sorted(_homes(module).items()))

    def __getattr__(name: str) -> object:  # noqa: N807 - the hook of modules, PEP 562
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(home), name)
        setattr(module, name, value)
        return value

    hooks: dict[str, Any] = {"__all__": list(homes), "__getattr__": __getattr__, "__dir__": lambda: list(homes)}
    module.__dict__.update(hooks)


def _homes(module: ModuleType) -> dict[str, str]:
    """Return the names that `module` imports for type checkers only, each with its home module."""
    loader: Any = module.__loader__
    source = loader.get_data(str(module.__file__)).decode()
    return {name: home for home, name in _EXPORT.findall(source)}
