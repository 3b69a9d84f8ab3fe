"""Facade: the nouns of the engine, each in a module of its name. Programs import them from `aura_engine`."""
