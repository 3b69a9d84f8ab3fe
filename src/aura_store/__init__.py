"""Store: the event log on memory, SQLite and PostgreSQL, and what is made of it: read models, audit, time travel."""

from aura_store._open import open_log

__all__ = ["open_log"]
