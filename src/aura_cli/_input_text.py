"""Input text: text that people and scripts hand over, in files and on standard input."""

from pathlib import Path
from typing import BinaryIO

from aura_contracts.errors import InvalidInput

SIZE_LIMIT = 4 * 1024 * 1024
"""Maximum bytes; an event holds no more."""


def read_file(path: str, field: str) -> str:
    """Return a text file. Raises `InvalidInput`, naming `field`, if it cannot be read."""
    if not path:
        raise InvalidInput(field=field, reason="it is empty", remedy="name a file, or - for standard input")
    try:
        with Path(path).open("rb") as file:
            return read_text(file, field)
    except (OSError, ValueError) as error:  # also a NUL in the path
        reason = f"{path!r}: {getattr(error, 'strerror', None) or error}"
        raise InvalidInput(field=field, reason=reason, remedy="check the path and its permissions") from error


def read_text(stream: BinaryIO, field: str) -> str:
    """Return the rest of `stream`, which may have no end, without a byte order mark and with plain line ends.

    Raises `InvalidInput`, naming `field`, if it is not UTF-8 or larger than `SIZE_LIMIT`.
    """
    data = stream.read(SIZE_LIMIT + 1)
    if len(data) > SIZE_LIMIT:
        reason = f"it has more than {SIZE_LIMIT:,} bytes"
        raise InvalidInput(field=field, reason=reason, remedy="refer to a file with the details instead")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            field=field, reason=f"it is not text in UTF-8: {error}", remedy="save it as UTF-8"
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")
