"""Isolated: runs one of AURA's own agents as a program, ``python -I -S isolated.py MODULE``, without its packages.

The modules are found as parts of their packages without running these: their ``__init__`` belong to the worker, and
the agents import the standard library alone.
"""

import sys
from importlib import import_module
from types import ModuleType

if __name__ == "__main__":
    here = __file__.rpartition("/")[0]
    *packages, _ = sys.argv[1].split(".")
    for count in range(1, len(packages) + 1):
        package = ModuleType(".".join(packages[:count]))
        package.__path__ = ["/".join((here, *packages[1:count]))]
        sys.modules[package.__name__] = package
    sys.exit(import_module(sys.argv[1]).main())
