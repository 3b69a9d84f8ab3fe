"""Executor names: other names under which AURA's own executors are known."""

from types import MappingProxyType
from typing import Final

EXECUTOR_ALIASES: Final = MappingProxyType({"cursor": "cursor-agent", "qwen": "qwen-code"})
"""Executors by their aliases. The log has only the names that these stand for."""


def executor_name(name: str) -> str:
    """Return the name of an executor for a name or an alias.

    >>> executor_name("qwen"), executor_name("codex")
    ('qwen-code', 'codex')
    """
    return EXECUTOR_ALIASES.get(name, name)
