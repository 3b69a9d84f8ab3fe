"""A file is read once it is whole, whatever its author does to it meanwhile."""

import os
from functools import partial

import pytest

from aura_contracts import settled_files
from aura_contracts.settled_files import read_settled, stamp_of

WHOLE = b"people: {alice: , bob: }\n"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "settings.yaml"


class Author:
    """Goes on writing whenever the reader waits."""

    def __init__(self, *steps):
        self.steps = list(steps)
        self.waited = 0

    def __call__(self, seconds):
        assert seconds == settled_files.SETTLED_AFTER
        self.waited += 1
        if self.steps:
            self.steps.pop(0)()


def age(path, seconds):
    """Have a file look as if it was changed so long ago."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - int(seconds * 1e9)))


def replace(path, content):
    new = path.with_name("new")
    new.write_bytes(content)
    new.replace(path)


def append(path, content):
    with path.open("ab") as file:
        file.write(content)


@pytest.mark.parametrize("in_parts", [True, False], ids=["in parts", "replaced"])
def test_what_is_half_written_is_read_again(path, monkeypatch, in_parts):
    path.write_bytes(b"")  # as an editor empties it
    steps = [WHOLE[:10], WHOLE[10:]] if in_parts else [WHOLE]
    author = Author(*(partial(append if in_parts else replace, path, step) for step in steps))
    monkeypatch.setattr(settled_files, "sleep", author)
    assert read_settled(path, 1000) == WHOLE
    assert author.waited == len(steps) + 1


def test_a_file_that_settled_long_ago_is_not_waited_for(path, monkeypatch):
    path.write_bytes(WHOLE)
    age(path, 60)
    author = Author()
    monkeypatch.setattr(settled_files, "sleep", author)
    assert read_settled(partial(path.open, "rb"), 8) == WHOLE[:8]
    assert author.waited == 0


def test_one_of_the_future_is_looked_at_twice(path, monkeypatch):
    """The clock was set back: its age says nothing."""
    path.write_bytes(WHOLE[:10])
    age(path, -86_400)
    author = Author(partial(append, path, WHOLE[10:]), partial(age, path, -86_400))
    monkeypatch.setattr(settled_files, "sleep", author)
    assert read_settled(path, 1000) == WHOLE


def test_one_that_is_changed_while_it_is_read_is_read_again(path, monkeypatch):
    path.write_bytes(WHOLE[:10])
    age(path, 60)
    grown = []

    class Slow:
        """Reads, and meanwhile the author appends."""

        def __init__(self):
            self.file = path.open("rb")
            self.fileno = self.file.fileno

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def read(self, limit):
            content = self.file.read(limit)
            if not grown:
                grown.append(append(path, WHOLE[10:]))
                age(path, 30)
            return content

    author = Author()
    monkeypatch.setattr(settled_files, "sleep", author)
    assert read_settled(Slow, 1000) == WHOLE


def test_one_that_never_settles_is_taken_as_it_is(path, monkeypatch):
    path.write_bytes(b"")
    author = Author(*[partial(append, path, b"x")] * 100)
    monkeypatch.setattr(settled_files, "sleep", author)
    assert set(read_settled(path, 1000)) == {ord("x")}
    assert author.waited == settled_files._LOOKS


def test_a_file_that_vanishes_is_an_error_and_has_no_stamp(path, monkeypatch):
    assert stamp_of(path) is None
    path.write_bytes(b"")
    assert stamp_of(path) is not None
    monkeypatch.setattr(settled_files, "sleep", Author(path.unlink))
    with pytest.raises(FileNotFoundError):
        read_settled(path, 1000)
