"""The old name of `replays`, for tests that are still being written."""

from replays import Replay, a_run, cases, cut, exited, mutated, replay, written

__all__ = ["Replay", "a_run", "cases", "cut", "exited", "mutated", "replay", "written"]
