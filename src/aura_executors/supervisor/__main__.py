"""The program: run by its path, isolated, so that packages have to be made known by hand.

Modules are found without running the ``__init__`` of their packages, which belong to the worker.
"""

import sys
from types import ModuleType

if __name__ == "__main__":
    for name in ("aura_contracts", "aura_executors"):
        package = ModuleType(name)
        package.__path__ = [f"{__file__.rpartition('/aura_executors/')[0]}/{name}"]
        sys.modules[name] = package

    from aura_executors.supervisor.startup import main

    main()
