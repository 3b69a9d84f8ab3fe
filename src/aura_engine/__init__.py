"""Engine."""

from aura_engine.facade.engine import Engine as Engine


def __getattr__(name: str) -> object:
    if name == "open_engine":
        from aura_engine.bootstrap import open_engine

        return open_engine
    raise AttributeError(name)
