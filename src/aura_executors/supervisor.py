"""The program that runs one agent: ``python -I -S supervisor.py FOLDER LOCK`` (see `aura_executors._beginning`).

It costs about 12 MB and some tens of milliseconds because it loads next to nothing: the standard library's smallest
parts, and the modules beside this file that need no more. They are found as parts of their package without running
the package itself, whose ``__init__`` loads the libraries of the worker.
"""

import sys
from types import ModuleType

if __name__ == "__main__":
    package = ModuleType("aura_executors")
    package.__path__ = [__file__.rpartition("/")[0]]
    sys.modules["aura_executors"] = package

    from aura_executors._beginning import main

    main(sys.argv)
