"""Engine: decides what happens to tasks, and has it done.

    from aura_engine import open_engine

    async with open_engine("sqlite:///aura.db") as engine:
        task = await engine.run("Fix the login", executor="claude")

`decisions` are the rules, `runtime` what carries them out, `worker` the side that touches files and processes;
`bootstrap` is the one place where adapters are chosen.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aura_engine.blocking import BlockingEngine
    from aura_engine.bootstrap import open_engine, open_engine_sync
    from aura_engine.engine import Engine
    from aura_engine.host import Host
    from aura_engine.requests import RunRequest

__all__ = ["BlockingEngine", "Engine", "Host", "RunRequest", "open_engine", "open_engine_sync"]

_HOMES = {
    "BlockingEngine": "blocking",
    "Engine": "engine",
    "Host": "machine",
    "RunRequest": "requests",
    "open_engine": "bootstrap",
    "open_engine_sync": "bootstrap",
}


def __getattr__(name: str) -> object:
    """Import what is asked for: who only replays a log must not pay for git and processes."""
    if name in _HOMES:
        return getattr(import_module(f"aura_engine.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
