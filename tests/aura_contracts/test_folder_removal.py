"""Folders go however deep they are; what links in them lead to stays."""

import os
from pathlib import Path

import pytest

from aura_contracts.folder_removal import remove_folder


@pytest.mark.deep
def test_a_folder_goes_however_deep_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    deep = tmp_path / "deep"
    deep.mkdir()
    (deep / "link").symlink_to(tmp_path / "mine")
    descriptor = os.open(deep, os.O_DIRECTORY)
    for _ in range(1100):
        os.mkdir("name", dir_fd=descriptor)
        inner = os.open("name", os.O_DIRECTORY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)
    remove_folder(deep)
    assert not deep.exists()
    assert (tmp_path / "mine").exists()


def test_a_link_and_nothing_are_left_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    remove_folder(tmp_path / "link")
    remove_folder(tmp_path / "nothing")
    assert (tmp_path / "mine").exists()
