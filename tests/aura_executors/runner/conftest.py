"""What all tests of the runner use."""

from backends import asyncio_unless_deep

__all__ = ["asyncio_unless_deep"]
