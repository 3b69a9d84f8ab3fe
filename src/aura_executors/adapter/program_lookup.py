"""Program lookup: where an agent's program is, its version, and whether it seems to be logged in. Blocks."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Self

import attrs

from aura_contracts.ports.executors import Availability

_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+)+(?:[-+.][0-9A-Za-z.-]+)?")
_VERSION_TIMEOUT = 20.0
"""Seconds that ``--version`` may take; agents in Node.js take a while on a loaded machine."""


@attrs.frozen(kw_only=True)
class Program:
    """An agent's program: how to find, install and log in to it."""

    name: str
    tested: tuple[str, ...]
    """Versions that AURA was tested with."""
    install: str
    """How to install it."""
    package: str | None = None
    """The npm package with its pinned version."""
    version: tuple[str, ...] = ("--version",)
    variables: tuple[str, ...] = ()
    """Environment variables, any of which counts as a login."""
    files: tuple[str, ...] = ()
    """Files, with ``~``, any of which counts as a login."""
    log_in: str = ""
    """How to log in."""
    bundled: Callable[[], str | None] = attrs.field(default=lambda: None)
    """Returns the program bundled with an installed Python package; called if it is not on PATH."""

    def with_login_in(self, environment: Mapping[str, str], variable: str, file: str) -> Self:
        """Return the program with its login in this file of the folder that a variable names, if it is set."""
        home = environment.get(variable)
        return attrs.evolve(self, files=(str(PurePath(home, file)),)) if home else self

    def locate(self, environment: Mapping[str, str]) -> str | None:
        """Return the path of the program, or None if it is not found."""
        return shutil.which(self.name, path=environment.get("PATH")) or self.bundled()

    def availability(self, environment: Mapping[str, str]) -> Availability:
        """Return whether the program can be run, with its path, version and login. Runs ``--version`` once per file."""
        found = self.locate(environment)
        if found is None:
            npx = shutil.which("npx", path=environment.get("PATH")) if self.package else None
            also = f", or set option npx=true to run {self.package}" if npx else ""
            reason = f"{self.name} is not on PATH"
            return Availability(
                available=False, reason=reason, remedy=f"{self.install}{also}", tested_versions=self.tested
            )
        logged_in, how = self._login(environment)
        remedy = "" if logged_in is not False else self.log_in
        return Availability(
            available=True,
            executable=found,
            version=_version(found, self.version, _stamp(found)),
            tested_versions=self.tested,
            logged_in=logged_in,
            login=how,
            remedy=remedy,
        )

    def _login(self, environment: Mapping[str, str]) -> tuple[bool | None, str]:
        if not self.variables and not self.files:
            return None, ""
        for name in self.variables:
            if environment.get(name):
                return True, f"variable {name} is set"
        home = environment.get("HOME", "")
        for file in self.files:
            if Path(file.replace("~", home, 1)).is_file():
                return True, f"{file} is there"
        return False, f"none of {', '.join((*self.variables, *self.files))}"


def _stamp(path: str) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116 - follows links
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=64)
def _version(path: str, arguments: Sequence[str], stamp: tuple[int, int]) -> str | None:
    """Return the program's version, or None if it prints none. Cached while the file stays the same."""
    try:
        done = subprocess.run(  # noqa: S603 - a program that the user has installed
            [path, *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=_VERSION_TIMEOUT, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = _VERSION.search((done.stdout + done.stderr).decode("utf-8", "replace"))
    return found[0] if found else None
