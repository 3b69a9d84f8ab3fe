"""Written files: the bytes of files that people write, for the readers of each kind."""

from pathlib import Path

import anyio

from aura_contracts.errors import InvalidInput


async def content_of(file: Path | str, limit: int, what: str) -> bytes:
    """Return up to `limit` bytes of a file. Raises `InvalidInput` if it cannot be read; `what` is what it should be."""

    def read() -> bytes:
        with Path(file).open("rb") as opened:
            return opened.read(limit)

    try:
        return await anyio.to_thread.run_sync(read)
    except (OSError, ValueError) as error:
        reason = f"{str(file)[:200]!r} cannot be read: {getattr(error, 'strerror', None) or error}"
        raise InvalidInput(field="file", reason=reason, remedy=f"give the path of a {what} file") from error
