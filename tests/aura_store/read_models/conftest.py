"""What all tests of read models use."""

from backends import asyncio_unless_deep

__all__ = ["asyncio_unless_deep"]
