"""Files that only their user can read."""

import stat
from pathlib import Path

import pytest

from aura_contracts.private_files import write_private


@pytest.mark.parametrize("once", [False, True])
def test_a_file_is_private_and_alone(tmp_path: Path, once: bool) -> None:
    write_private(tmp_path / "x", b"content", once=once)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]


def test_what_a_link_leads_to_stays_and_the_link_goes(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"before")
    (tmp_path / "x").symlink_to("other")
    write_private(tmp_path / "x", b"after")
    assert (tmp_path / "other").read_bytes() == b"before"
    assert (tmp_path / "x").read_bytes() == b"after"
    assert not (tmp_path / "x").is_symlink()


def test_the_first_writer_of_a_file_that_is_written_once_wins(tmp_path: Path) -> None:
    for content in (b"first", b"second"):
        write_private(tmp_path / "x", content, once=True)
    assert (tmp_path / "x").read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(OSError):
        write_private(tmp_path / "x", b"content")
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]
