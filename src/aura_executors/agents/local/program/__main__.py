"""The program: run by its path, isolated, so that its packages have to be made known by hand.

The modules are found as parts of their packages without running these: their ``__init__`` belong to the worker.
"""

import sys
from types import ModuleType

if __name__ == "__main__":
    folder = __file__.rpartition("/")[0]
    for name in (
        "aura_executors.agents.local.program",
        "aura_executors.agents.local",
        "aura_executors.agents",
        "aura_executors",
    ):
        package = ModuleType(name)
        package.__path__ = [folder]
        sys.modules[name] = package
        folder = folder.rpartition("/")[0]

    from aura_executors.agents.local.program.main import main

    sys.exit(main())
