"""The program of the executor `local`: ``python -I -S agent.py``, with its order as the first line of standard input.

It needs the standard library alone, and the modules beside it, which are found as parts of their package without
running the packages themselves: their ``__init__`` load the libraries of the worker. What it speaks is in `_talk`.
"""

import sys
from types import ModuleType

if __name__ == "__main__":
    folder = __file__.rpartition("/")[0]
    package = ModuleType("aura_executors")
    for name, place in (
        ("aura_executors", folder.rpartition("/agents/")[0]),
        ("aura_executors.agents", folder.rpartition("/")[0]),
        ("aura_executors.agents.local", folder),
    ):
        package = ModuleType(name)
        package.__path__ = [place]
        sys.modules[name] = package

    from aura_executors.agents.local._main import main

    sys.exit(main())
