"""Patterns of context documents: which are refused, and what they match."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_contracts.context_documents import is_document, is_wild, require_document_pattern
from aura_contracts.errors import InvalidInput


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("", "1 to 500 characters"),
        (" ", "1 to 500 characters"),
        ("x" * 501, "1 to 500 characters"),
        ("/etc/passwd", "leads out of the repository"),
        ("../other/a.md", "leads out of the repository"),
        ("docs/../../a.md", "leads out of the repository"),
        ("C:\\a.md", "leads out of the repository"),
        ("docs\\a.md", "has a backslash"),
        ("docs/", "is a folder"),
        ("docs/**", "is a folder"),
        ("./a.md", "matches nothing"),
        ("docs//a.md", "matches nothing"),
        (".git/config", "is in git's own folder"),
        ("sub/.GIT/config", "is in git's own folder"),
        ("docs/**.md", "has '**' where it is not a whole folder"),
        ("docs/[ab.md", "has a bracket that is not closed"),
        ("docs/[]a.md", "has a bracket that is not closed"),
        ("docs/a\nb.md", "has characters that cannot be seen"),
        ("docs/\x1b[2Ja.md", "has characters that cannot be seen"),
        ("a.md ", "has characters that cannot be seen"),
    ],
)
def test_a_pattern_that_means_no_document_is_refused_with_what_is_wrong(pattern, says):
    with pytest.raises(InvalidInput) as caught:
        require_document_pattern(pattern, "documents.3")
    assert caught.value.field == "documents.3"
    assert says in caught.value.reason
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("CLAUDE.md", ["CLAUDE.md"], ["claude.md", "docs/CLAUDE.md"]),
        ("*.md", ["a.md", ".hidden.md"], ["docs/a.md", "a.mdx"]),
        ("docs/*/a.md", ["docs/x/a.md"], ["docs/a.md", "docs/x/y/a.md"]),
        ("**/a.md", ["a.md", "x/a.md", "x/y/a.md"], ["xa.md", "a.md/b"]),
        ("**/docs/**/*.md", ["docs/a.md", "x/docs/y/z/a.md"], ["a.md", "docs.md"]),
        ("**/**/a", ["a", "x/a"], ["b"]),
        ("app/[ab].md", ["app/a.md"], ["app/c.md", "app/[ab].md"]),
        ("app/[[]id].md", ["app/[id].md"], ["app/i.md"]),
        ("?.md", ["ä.md"], ["ab.md", ".md"]),
    ],
)
def test_wildcards_stay_within_a_folder_unless_they_are_two_stars(pattern, matching, others):
    assert require_document_pattern(pattern) == pattern
    assert [path for path in matching + others if is_document(path, pattern)] == matching


_NAMES = st.text("ab.", min_size=1, max_size=3).filter(lambda name: name not in (".", ".."))
_PATHS = st.lists(_NAMES, min_size=1, max_size=4)


@given(_PATHS, st.data())
def test_a_path_matches_itself_and_whatever_its_parts_are_replaced_by(parts, data):
    path = "/".join(parts)
    assert is_document(path, path)
    assert not is_wild(path)
    start = data.draw(st.integers(0, len(parts) - 1))
    assert is_document(path, "/".join(["**", *parts[start:]]))
    assert is_document(path, "/".join("*" for _ in parts))
    assert not is_document(path, "/".join(["*", *("*" for _ in parts)]))
