"""Filters of files, such as Git LFS, whose program is not installed: git fails at the first file that needs one."""

import os
import shlex
import shutil

from aura_contracts.errors import FilterMissing
from aura_git.commandline._output import paths
from aura_git.repository._configuration import Configuration
from aura_git.repository._git_repository import GitRepository

_SHELL = frozenset("$`;&|<>(){}*?~#\n")
"""Characters that make a command more than a program and its arguments: the shell alone knows what it runs."""


def require_filters(repository: GitRepository, commit: str) -> None:
    """Raise `FilterMissing` if a file of `commit` needs a filter whose program is not installed.

    Only filters that are ``required`` count: without the others, git takes the files as they are stored.
    """
    missing = _missing_programs(repository)
    if not missing:
        return
    for path, name in _filters_of(repository, commit).items():
        if program := missing.get(name):
            raise FilterMissing(
                repository=repository.path,
                path=path,
                filter=name,
                program=program,
                remedy=f"install {program}{_INSTALLING.get(name, '')}, then try again",
            )


_INSTALLING = {"lfs": " (`apt install git-lfs` or `brew install git-lfs`, then `git lfs install`)"}


def _missing_programs(repository: GitRepository) -> dict[str, str]:
    """Return the program that is not installed of each required filter, by the filter's name."""
    configuration = repository.configuration
    keys = [entry.key for entry in configuration.entries if entry.key.startswith("filter.")]
    names = dict.fromkeys(key.removeprefix("filter.").rpartition(".")[0] for key in keys)
    required = [name for name in names if configuration.flag(f"filter.{name}.required")]
    if not required:
        return {}
    search = os.pathsep.join([repository.command.environment.get("PATH", ""), repository.git("--exec-path").text])
    found = {name: _missing_program(configuration, name, search) for name in required}
    return {name: program for name, program in found.items() if program is not None}


def _missing_program(configuration: Configuration, name: str, search: str) -> str | None:
    process = configuration.get(f"filter.{name}.process")
    one_by_one = (configuration.get(f"filter.{name}.{step}") for step in ("smudge", "clean"))
    for command in [process] if process else one_by_one:
        program = _program(command or "")
        if program is not None and shutil.which(program, path=search) is None:
            return program
    return None


def _program(command: str) -> str | None:
    """Return the program that a command runs; None if only the shell could tell."""
    try:
        words = [] if _SHELL.intersection(command) else shlex.split(command)
    except ValueError:
        return None
    if not words or "=" in words[0] or (os.sep in words[0] and not os.path.isabs(words[0])):
        return None
    return words[0]


def _filters_of(repository: GitRepository, commit: str) -> dict[str, str]:
    """Return the filter of each file of a commit that has one."""
    with repository.scratch.folder() as folder:
        scratch = {"GIT_INDEX_FILE": os.path.join(folder, "index")}
        repository.git("read-tree", commit, variables=scratch)
        names = repository.git("ls-files", "-z", variables=scratch).out
        told = repository.git("check-attr", "--cached", "-z", "--stdin", "filter", stdin=names, variables=scratch)
    fields = paths(told.out)
    return {
        path: value
        for path, value in zip(fields[::3], fields[2::3], strict=True)
        if value not in {"unspecified", "set", "unset"}
    }
