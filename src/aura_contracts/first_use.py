"""First use: msgspec describes a type when it is first used, and two threads that do so at once crash the interpreter.

Whatever may be the first use of a type outside the thread that imports it holds `FIRST_USE`: types contain one another.
"""

from threading import RLock
from typing import Final

FIRST_USE: Final = RLock()
"""Reentrant: a struct that is converted under it may convert another one in its `__post_init__`."""
