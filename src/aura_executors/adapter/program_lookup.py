"""Looks agents up: where the program is, which version, and whether it seems to be logged in. Blocks."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import attrs

from aura_contracts.ports.executors import Availability

_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+)+(?:[-+.][0-9A-Za-z.-]+)?")
_VERSION_TIMEOUT = 20.0
"""Seconds for ``--version``: an agent in Node.js takes some, on a loaded machine."""


@attrs.frozen(kw_only=True)
class Program:
    """What is known of an agent's program."""

    name: str
    tested: tuple[str, ...]
    """Versions that AURA was tested with."""
    install: str
    """How to get it."""
    package: str | None = None
    """The npm package with its pinned version."""
    version: tuple[str, ...] = ("--version",)
    variables: tuple[str, ...] = ()
    """Any of these in the environment is a login."""
    files: tuple[str, ...] = ()
    """Any of these, with ``~``, is a login."""
    log_in: str = ""
    """How to log in."""
    bundled: Callable[[], str | None] = attrs.field(default=lambda: None)
    """Where an installed Python package brings the program along; asked when it is not on PATH."""

    def locate(self, environment: Mapping[str, str]) -> str | None:
        """Return where the program is, None if nowhere."""
        return shutil.which(self.name, path=environment.get("PATH")) or self.bundled()

    def availability(self, environment: Mapping[str, str]) -> Availability:
        """Say whether it can be run, with what was found out. Runs ``--version`` once for each file it finds."""
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
    """Return what the program says of itself; None if it says nothing. Kept as long as the file is the same."""
    try:
        done = subprocess.run(  # noqa: S603 - a program that the user has installed
            [path, *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=_VERSION_TIMEOUT, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = _VERSION.search((done.stdout + done.stderr).decode("utf-8", "replace"))
    return found[0] if found else None
