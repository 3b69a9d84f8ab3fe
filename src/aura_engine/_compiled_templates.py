"""The compiled code of templates, kept from one rendering to the next: a `TemplateSandbox` is used once."""

from hashlib import sha256
from threading import Lock
from types import CodeType

from jinja2.bccache import Bucket, BytecodeCache

_MOST = 100
"""Templates whose code is kept."""


class CompiledTemplates(BytecodeCache):
    """Jinja's cache of code, in memory. The key is the text with the label; the oldest code goes first.

    Engines in several threads share it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._codes: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._codes.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        if bucket.code is None:
            return
        with self._lock:
            while len(self._codes) >= _MOST:
                del self._codes[next(iter(self._codes))]
            self._codes[bucket.key, bucket.checksum] = bucket.code

    def get_source_checksum(self, source: str) -> str:
        return sha256(source.encode("utf-8", "surrogatepass")).hexdigest()
