"""One text says where a store is; whoever needs a part of it asks the same parser."""

from pathlib import Path

import pytest

from aura_contracts.errors import StoreMisconfigured
from aura_contracts.store_url import StoreUrl, without_password


@pytest.mark.parametrize(
    ("text", "kind", "path", "read_only"),
    [
        ("sqlite:///aura.db", "sqlite", "aura.db", False),
        ("sqlite:////a b/aura.db?mode=ro", "sqlite", "/a b/aura.db", True),
        ("sqlite:///a?b=c", "sqlite", "a?b=c", False),
        ("postgresql://alice:secret@host/aura", "postgresql", None, False),
        ("postgres:///aura", "postgresql", None, False),
        ("memory:", "memory", None, False),
        ("memory:second", "memory", None, False),
    ],
)
def test_what_is_a_store(text, kind, path, read_only):
    url = StoreUrl.parse(text)
    assert (str(url), url.kind, url.read_only) == (text, kind, read_only)
    assert url.path == (None if path is None else Path(path))
    assert "secret" not in without_password(url.text)


@pytest.mark.parametrize(
    "text", ["", "aura.db", "sqlite:", "sqlite:///", "sqlite://host/x", "mysql://host/x", "memory"]
)
def test_what_is_none(text):
    with pytest.raises(StoreMisconfigured, match="not a store URL"):
        StoreUrl.parse(text)


def test_a_path_is_told_how_to_be_written():
    with pytest.raises(StoreMisconfigured) as caught:
        StoreUrl.parse("/srv/README.md")
    assert "sqlite:////srv/README.md" in caught.value.remedy


def test_the_same_store_from_another_folder():
    assert str(StoreUrl.parse("sqlite:///aura.db").seen_from(Path("/srv"))) == "sqlite:////srv/aura.db"
    assert str(StoreUrl.parse("sqlite:////a.db?mode=ro").seen_from(Path("/home"))) == "sqlite:////a.db?mode=ro"
    assert str(StoreUrl.parse("memory:").seen_from(Path("/home"))) == "memory:"
