"""Git, two ways: by its command line, and with dulwich where there is no git (or one older than 2.38)."""

from importlib import import_module
from typing import TYPE_CHECKING

from aura_git._choose import FoundGit, choose_git, find_git

if TYPE_CHECKING:
    from aura_git._cli import CommandLineGit
    from aura_git._dulwich import DulwichGit

__all__ = ["CommandLineGit", "DulwichGit", "FoundGit", "choose_git", "find_git"]

_HOMES = {"CommandLineGit": "aura_git._cli", "DulwichGit": "aura_git._dulwich"}


def __getattr__(name: str) -> object:
    """Import what is asked for: dulwich takes 300 ms, and is seldom needed."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
