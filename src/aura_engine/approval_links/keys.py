"""Keys: the secrets that sign the tokens of links, one file each: ``AURA_HOME/link-keys/NUMBER``.

The greatest number signs, all of them verify. To rotate is to add one. A key that was superseded longer ago than any
link lives is removed then, and all others at once if they are lost. Only the user of this installation can read them.
Several engines, or hosts, whose links one server is to open need the same files.
"""

import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import attrs
import msgspec

from aura_contracts.approval import LINK_LIFETIME
from aura_contracts.errors import InvalidInput
from aura_contracts.first_use import decode_json
from aura_contracts.ports import Clock
from aura_contracts.private_files import make_private_folder, require_private, sync_folder, write_private
from aura_engine.signed_tokens import SECRET_LENGTH

KEY_FOLDER = "link-keys"

NUMBER_LIMIT = 2**16 - 1
"""The greatest number of a key: a token has two bytes for it."""

ATTEMPT_LIMIT = 100
"""How often the keys are listed, while other processes remove those that were listed."""

_NUMBER = re.compile("[1-9][0-9]{0,4}")


class LinkKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key. `secret` has 32 bytes."""

    number: int
    secret: bytes
    created_at: datetime

    def __repr__(self) -> str:
        return f"LinkKey(number={self.number})"


class _Stored(msgspec.Struct, frozen=True, kw_only=True):
    secret: bytes
    created_at: datetime


@attrs.frozen
class LinkKeys:
    """The keys of an installation.

    Its methods block, and raise `OSError`, and `InvalidInput` for a damaged file or one that others can read or write.
    """

    folder: Path
    clock: Clock

    @classmethod
    def of(cls, home: Path, clock: Clock) -> "LinkKeys":
        """Return the keys in AURA's data folder."""
        return cls(home / KEY_FOLDER, clock)

    @property
    def numbers(self) -> list[int]:
        """The numbers of all keys, the oldest first."""
        if not self.folder.is_dir():
            return []
        require_private(self.folder, KEY_FOLDER)
        names = (path.name for path in self.folder.iterdir())
        return sorted(int(name) for name in names if _NUMBER.fullmatch(name) and int(name) <= NUMBER_LIMIT)

    def current(self) -> LinkKey:
        """Return the key that signs; the first one is made when it is needed."""
        return self._listed(lambda numbers: self._read(numbers[-1]) if numbers else self._add(1))

    def get(self, number: int) -> LinkKey | None:
        """Return the key with this number; None without one."""
        try:
            return self._read(number)
        except FileNotFoundError:
            return None

    def rotate(self, *, lost: bool = False) -> LinkKey:
        """Sign with a new key from now on, and return it.

        Links that were issued still open, unless the other keys are `lost` to someone else: then they are removed.
        """
        return self._listed(lambda numbers: self._rotate(numbers, lost=lost))

    def _listed(self, use: Callable[[list[int]], LinkKey]) -> LinkKey:
        """Return what `use` makes of the numbers of all keys, listed again if another process removed one of them."""
        for _ in range(ATTEMPT_LIMIT):
            with suppress(FileNotFoundError):
                return use(self.numbers)
        return use(self.numbers)

    def _rotate(self, numbers: list[int], *, lost: bool) -> LinkKey:
        if numbers and numbers[-1] >= NUMBER_LIMIT:
            reason = f"there are no more than {NUMBER_LIMIT} keys"
            raise InvalidInput(field=KEY_FOLDER, reason=reason, remedy=f"remove {self.folder}, and issue new links")
        new = self._add(numbers[-1] + 1 if numbers else 1)
        for number, successor in pairwise([*numbers, new.number]):
            if lost or self._has_outlived(successor):
                self._path(number).unlink(missing_ok=True)
        sync_folder(self.folder)  # a lost key does not return after a power cut
        return new

    def _has_outlived(self, successor: int) -> bool:
        """Whether all links that were signed before a key was made have expired."""
        key = self.get(successor)
        return key is not None and self.clock() - key.created_at > LINK_LIFETIME

    def _add(self, number: int) -> LinkKey:
        """Make a key. If another process makes it at the same time, it is the one of that process."""
        make_private_folder(self.folder)
        stored = _Stored(secret=secrets.token_bytes(SECRET_LENGTH), created_at=self.clock())
        write_private(self._path(number), msgspec.json.encode(stored), once=True)
        return self._read(number)

    def _read(self, number: int) -> LinkKey:
        path = self._path(number)
        require_private(self.folder, KEY_FOLDER)
        require_private(path, KEY_FOLDER)
        try:
            stored = decode_json(path.read_bytes(), _Stored)
        except msgspec.MsgspecError:
            stored = None
        if stored is None or len(stored.secret) != SECRET_LENGTH or stored.created_at.utcoffset() is None:
            remedy = "restore it from a backup, or delete it: links that it signed do not open any more"
            raise InvalidInput(field=KEY_FOLDER, reason=f"{path} is damaged", remedy=remedy)
        return LinkKey(number=number, secret=stored.secret, created_at=stored.created_at)

    def _path(self, number: int) -> Path:
        return self.folder / str(number)
