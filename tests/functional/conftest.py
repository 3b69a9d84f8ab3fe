"""What all functional tests may use."""

from backends import asyncio_unless_deep
from engines import opened, repository

__all__ = ["asyncio_unless_deep", "opened", "repository"]
