"""Zstandard behind the library's compressor port."""

import zstandard
from eventsourcing.persistence import Compressor


class ZstdCompressor(Compressor):
    """Level 3 with the content size in each frame; decompression of anything else is refused by the library."""

    def compress(self, data: bytes) -> bytes:
        return zstandard.compress(data)

    def decompress(self, data: bytes) -> bytes:
        try:
            return zstandard.decompress(data)
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from error
