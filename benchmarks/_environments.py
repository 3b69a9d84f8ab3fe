"""Environments: virtual environments of their own for the programs that AURA is compared, or used, with.

They are made when first needed, in ``AURA_PEERS`` or else in the folder of the running environment, and made again when
other requirements are asked for.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path


class CannotInstall(Exception):
    """An environment could not be made; the message says why, and what to do."""


def python_with(name: str, *requirements: str) -> Path:
    """Return the interpreter of an environment with these requirements. Raises `CannotInstall`."""
    place = Path(os.environ.get("AURA_PEERS") or Path(sys.prefix, "peers")).absolute() / name
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp, wanted = place / "requirements", "\n".join(sorted(requirements))
        if not stamp.is_file() or stamp.read_text() != wanted:
            shutil.rmtree(place, ignore_errors=True)
            venv.create(place, with_pip=True)
            _install(place / "bin" / "python", requirements)
            stamp.write_text(wanted)
    return place / "bin" / "python"


def _install(python: Path, requirements: Sequence[str]) -> None:
    options = ("--quiet", "--disable-pip-version-check", "--no-input", "--retries", "1")
    done = subprocess.run(
        [str(python), "-m", "pip", "install", *options, *requirements], capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "pip says nothing").splitlines()[-1]
        needed = " ".join(requirements)
        raise CannotInstall(f"pip cannot install {needed}: {last}; see that pip reaches its index, or set AURA_PEERS")
