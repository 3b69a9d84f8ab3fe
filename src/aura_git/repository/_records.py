"""The files of the pins: small, private, and replaced as a whole. All of it raises `OSError`."""

import errno
import json
import os
from pathlib import Path
from typing import TypeVar

import msgspec

from aura_contracts.first_use import convert
from aura_contracts.private_files import write_private

T = TypeVar("T")


def names(folder: Path) -> list[str]:
    """Return what is in a folder, sorted; nothing if it does not exist. What is just being written is not there yet."""
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except FileNotFoundError:
        return []


def read_record(file: Path, kind: type[T]) -> T | None:
    """Return the content of a file, None if it does not exist."""
    try:
        return convert(json.loads(file.read_bytes()), kind)
    except FileNotFoundError:
        return None
    except (ValueError, msgspec.ValidationError) as error:
        raise OSError(errno.EBADMSG, f"it is damaged ({error})", str(file)) from error


def write_record(file: Path, content: object) -> None:
    """Write a file, all of it or nothing."""
    write_private(file, json.dumps(msgspec.to_builtins(content)).encode())
