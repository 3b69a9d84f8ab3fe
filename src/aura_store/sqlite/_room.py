"""Whether a file cannot grow: SQLite reports only that it could not write it."""

import errno
import resource
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile

_NEARLY = 1 << 20
"""Bytes below a limit at which a file counts as full: SQLite writes several pages at once."""

_PROBE = 1 << 16
"""Bytes that are written to find out whether there is room."""


def why_full(path: Path) -> str | None:
    """Return why the database at `path` cannot grow, None if nothing is known to be in its way."""
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit != resource.RLIM_INFINITY:
        for name in ("", "-wal", "-journal", "-shm"):
            with suppress(OSError):
                if Path(f"{path}{name}").stat().st_size + min(_NEARLY, limit // 2) >= limit:
                    return f"{path}{name} has reached the limit on the size of a file, {limit} bytes (ulimit -f)"
    try:
        with TemporaryFile(dir=path.parent, buffering=0) as file:
            file.write(b"\0" * _PROBE)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            return f"{path.parent}: {error.strerror}"
    return None
