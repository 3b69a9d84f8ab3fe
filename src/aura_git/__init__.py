"""Git, by its command line: `CommandLineGit` implements the port `Git` of `aura_contracts.ports.git`."""

from aura_git._git import CommandLineGit
from aura_git.commandline._installation import FoundGit, find_git

__all__ = ["CommandLineGit", "FoundGit", "find_git"]
