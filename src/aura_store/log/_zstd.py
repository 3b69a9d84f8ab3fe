"""Zstandard as a compressor for the library."""

import zstandard
from eventsourcing.persistence import Compressor


class ZstdCompressor(Compressor):
    """Level 3, with the content size in each frame; the library refuses to decompress frames without it."""

    def compress(self, data: bytes) -> bytes:
        return zstandard.compress(data)

    def decompress(self, data: bytes) -> bytes:
        try:
            return zstandard.decompress(data)
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from error
