"""The program: run by its path, isolated, so that its package has to be made known by hand.

The modules of the supervisor are found without running `aura_executors` itself, whose ``__init__`` belongs to the
worker.
"""

import sys
from types import ModuleType

if __name__ == "__main__":
    package = ModuleType("aura_executors")
    package.__path__ = [__file__.rpartition("/supervisor/")[0]]
    sys.modules["aura_executors"] = package

    from aura_executors.supervisor.startup import main

    main(sys.argv)
