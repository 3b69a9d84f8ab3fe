"""Written files: the bytes of files that people write, for the readers of each kind."""

from pathlib import Path

import anyio

from aura_contracts.errors import InvalidInput
from aura_contracts.settled_files import read_settled


async def content_of(file: Path | str, limit: int, what: str) -> bytes:
    """Return up to `limit` bytes of a file that is whole. Raises `InvalidInput`; `what` is what it should be."""
    try:
        return await anyio.to_thread.run_sync(read_settled, Path(file), limit)
    except (OSError, ValueError) as error:
        reason = f"{str(file)[:200]!r} cannot be read: {getattr(error, 'strerror', None) or error}"
        raise InvalidInput(field="file", reason=reason, remedy=f"give the path of a {what} file") from error
