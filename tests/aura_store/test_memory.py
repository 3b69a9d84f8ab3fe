"""The log in memory: what is not promised by every log, and what only threads can show."""

import threading

from aura_store.log._memory import MemoryRecorder


def test_a_watch_that_is_stopped_between_two_looks_ends():
    """To stop must be seen under the lock that is waited with: told in between, the watch would wait for ever."""
    recorder = MemoryRecorder()
    heads = recorder.heads()
    assert next(heads) == 0
    recorder.stop_watching()
    left: list[int] = []
    watcher = threading.Thread(target=lambda: left.extend(heads), daemon=True)
    watcher.start()
    watcher.join(timeout=60)
    assert not watcher.is_alive()
    assert left == []


def test_a_watch_sees_what_was_appended_and_ends_when_it_is_stopped_while_it_waits():
    recorder = MemoryRecorder()
    looked = threading.Event()

    def watch() -> None:
        for _ in recorder.heads():
            looked.set()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    assert looked.wait(timeout=60)
    recorder.stop_watching()
    watcher.join(timeout=60)
    assert not watcher.is_alive()
