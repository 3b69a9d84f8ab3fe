"""Whether a path is within a folder."""

import pytest

from aura_contracts.file_paths import is_below, is_within, relative


@pytest.mark.parametrize(
    ("path", "folder", "expected"),
    [
        ("/a", "/a", "."),
        ("/a/b", "/a", "b"),
        ("/a/b/c", "/a/", "b/c"),
        ("/a/.git", "/a", ".git"),
        ("/ab", "/a", None),
        ("/a", "/a/b", None),
        ("/a", "/", "a"),
        ("/", "/", "."),
        ("/a/b\nc", "/a", "b\nc"),
    ],
)
def test_a_path_is_within_a_folder_by_whole_names(path: str, folder: str, expected: str | None) -> None:
    assert relative(path, folder) == expected
    assert is_within(path, folder) is (expected is not None)
    assert is_below(path, folder) is (expected not in (None, "."))
