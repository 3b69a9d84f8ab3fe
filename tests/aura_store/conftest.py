"""What all tests of the store use. `tests/conformance` has both event loops for it."""

from backends import asyncio_unless_deep

__all__ = ["asyncio_unless_deep"]
