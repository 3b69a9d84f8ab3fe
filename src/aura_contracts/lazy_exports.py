"""Lazy exports: a package imports a name when it is first used.

    from typing import TYPE_CHECKING

    from aura_contracts.lazy_exports import export_lazily

    if TYPE_CHECKING:
        from aura_store._open import open_log as open_log

    export_lazily(__name__)

Each name is written once, in an import that type checkers read and Python never runs. `export_lazily` reads the same
imports from the module's source and sets ``__all__``, ``__dir__`` and ``__getattr__``, but on the module object, so
type checkers see no ``__getattr__`` and still find misspelt names. Nothing else may be in that block.
"""

import re
import sys
from importlib import import_module
from types import CodeType, ModuleType
from typing import Any, Final

_BLOCK: Final = re.compile(r"^if TYPE_CHECKING:\r?\n([ \t]+\S.*\n(?:[ \t]+\S.*\n|[ \t\r]*\n)*)", re.MULTILINE)
_EXPORT: Final = re.compile(r"^ +from (\S+) import (?:\(\s+)?(\w+) as \2(?:,?\s+\))?\r?$", re.MULTILINE)
"""One export, as `ruff format` leaves it. Parsing the module would take ten times as long."""


def export_lazily(package: str) -> None:
    """Make the module named `package` export the names it imports under ``if TYPE_CHECKING``.

    Raises ImportError if that block has anything but imports of the form above.
    """
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
    path = str(module.__file__)
    loader: Any = module.__loader__
    if not path.endswith(".py"):  # installed without sources
        return _compiled_homes(module, loader.get_code(module.__name__))
    block = _BLOCK.search(loader.get_data(path).decode())
    if block is None:
        raise ImportError(f"{path}: no exports under `if TYPE_CHECKING:`")
    other, homes, names = (_EXPORT.split(block[1])[first::3] for first in range(3))
    if rest := "".join(other).strip():
        raise ImportError(f"{path}: not an export of the form `from home import name as name`: {rest}")
    return dict(zip(names, homes, strict=True))


def _compiled_homes(module: ModuleType, code: CodeType) -> dict[str, str]:
    """Return the same from the compiled module: what it imports somewhere and has not imported yet."""
    import dis  # noqa: PLC0415 - takes longer than all the rest, and is rarely needed

    homes, home = {}, ""
    for step in dis.get_instructions(code):
        if step.opname == "IMPORT_NAME":
            home = step.argval
        elif step.opname == "IMPORT_FROM" and not hasattr(module, step.argval):
            homes[step.argval] = home
    return homes
