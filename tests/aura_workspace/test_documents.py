"""Context documents: what is read of a worktree whose files are anyone's."""

import os
import re
import subprocess

import pytest

from aura_contracts.context_documents import CONTEXT_LIMIT, DOCUMENT_LIMIT, LEFT_OUT_LIMIT, DocumentPlace
from aura_contracts.errors import InvalidInput
from aura_workspace import _documents
from aura_workspace._documents import read_documents


@pytest.fixture
def top(tmp_path):
    (tmp_path / "app").mkdir()
    return tmp_path / "app"


def put(top, path, content=""):
    file = top / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def read(top, *patterns, without=()):
    return read_documents([DocumentPlace(repository="app", path=str(top))], patterns, without)


def texts(found):
    return {one.document.path: one.text for one in found.documents}


def reasons(found):
    return {one.path: one.reason for one in found.left_out}


def test_documents_come_in_the_order_of_patterns_then_of_paths_each_once(top):
    for path in ("b.md", "a.md", "docs/z.md", "docs/y.md", "docs/.hidden/x.md", "code.py"):
        put(top, path, path)
    found = read(top, "docs/z.md", "**/*.md")
    assert [*texts(found)] == ["docs/z.md", "a.md", "b.md", "docs/.hidden/x.md", "docs/y.md"]
    assert found.left_out == ()


def test_those_to_leave_out_take_no_room_and_are_told_apart(top):
    put(top, "CLAUDE.md", "x")
    put(top, "a.md", "y")
    found = read(top, "CLAUDE.md", "*.md", without=["CLAUDE.md"])
    assert texts(found) == {"a.md": "y"}
    assert (found.without, found.left_out) == ((("app", "CLAUDE.md"),), ())


def test_a_document_and_a_link_to_it_are_read_once(top):
    put(top, "AGENTS.md", "rules")
    put(top, "a.md", "y")
    (top / "CLAUDE.md").symlink_to("AGENTS.md")
    assert texts(read(top, "*.md")) == {"AGENTS.md": "rules", "a.md": "y"}
    found = read(top, "AGENTS.md", "*.md", without=["CLAUDE.md"])
    assert (texts(found), found.without) == ({"a.md": "y"}, (("app", "AGENTS.md"),))


def test_patterns_that_match_nothing_are_named(top):
    found = read(top, "gone.md", "gone/*.md", "*/gone.md")
    assert reasons(found) == {
        "gone.md": "there is no such file",
        "gone/*.md": "no file matches",
        "*/gone.md": "no file matches",
    }


def test_an_invalid_pattern_reads_nothing(top):
    put(top.parent, "secret.md", "x")
    with pytest.raises(InvalidInput):
        read(top, "../secret.md")


def test_nothing_outside_is_read_by_any_link(top):
    outside = put(top.parent, "outside/secret.md", "the secret")
    put(top, "docs/inside.md", "inside")
    put(top, "other/inside.md", "inside")
    (top / "link.md").symlink_to(outside)
    (top / "folder").symlink_to(outside.parent)
    (top / "docs/up.md").symlink_to("../../outside/secret.md")
    (top / "docs/ok.md").symlink_to("../other/inside.md")
    (top / "nothing.md").symlink_to("gone.md")
    (top / "circle.md").symlink_to("circle.md")
    found = read(top, "link.md", "folder/secret.md", "docs/*.md", "**/secret.md", "nothing.md", "circle.md", "*.md")
    assert texts(found) == {"docs/inside.md": "inside", "docs/ok.md": "inside"}
    left = reasons(found)
    assert left.pop("circle.md").startswith("it cannot be read: ")
    assert left == {
        "link.md": "it leads out of the repository",
        "folder/secret.md": "it leads out of the repository",
        "docs/up.md": "it leads out of the repository",
        "**/secret.md": "no file matches",
        "nothing.md": "it is a link to nothing",
    }


def test_a_link_that_takes_the_place_of_a_folder_after_it_was_resolved_is_not_followed(top, monkeypatch):
    outside = put(top.parent, "outside/a.md", "the secret").parent
    put(top, "docs/a.md", "inside")
    resolve = os.path.realpath

    def swap(path, **options):
        resolved = resolve(path, **options)
        if str(path).endswith("docs/a.md"):
            (top / "docs").rename(top / "before")
            (top / "docs").symlink_to(outside)
        return resolved

    monkeypatch.setattr(_documents.os.path, "realpath", swap)
    found = read(top, "docs/a.md")
    assert found.documents == ()
    assert reasons(found)["docs/a.md"].startswith("it cannot be read: ")


def test_git_s_own_folder_is_never_read(top):
    put(top, ".git/config.md", "token")
    put(top, "sub/.git/a.md", "token")
    (top / "config.md").symlink_to(".git/config.md")
    found = read(top, "**/*.md", "config.md")
    assert found.documents == ()
    assert reasons(found) == {"config.md": "it is in git's own folder"}


def test_a_pipe_is_not_waited_for_and_a_folder_is_no_document(top):
    os.mkfifo(top / "pipe.md")
    (top / "folder.md").mkdir()
    found = read(top, "*.md", "folder.md")
    assert reasons(found) == {"pipe.md": "it is not a regular file", "folder.md": "it is a folder"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_left_out(top):
    put(top, "a.md", "x").chmod(0)
    assert reasons(read(top, "a.md")) == {"a.md": "it cannot be read: Permission denied"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x89PNG\0", "it is binary"),
        (b"caf\xe9", "it is not text in UTF-8"),
        ("é".encode()[:1], "it is not text in UTF-8"),
        (b"key: sk-abcdefghijklmnopqrstuvwxyz012345", "it holds what looks like a secret: sk-abc..."),
        (b"https://bob:hunter22@example.org/x", "it holds what looks like a secret: a URL with a password"),
    ],
)
def test_what_is_no_text_or_holds_a_secret_is_left_out(top, content, reason):
    put(top, "a.md", content)
    assert reasons(read(top, "a.md")) == {"a.md": reason}


def test_text_is_given_as_it_can_be_seen(top):
    put(top, "a.md", b"\xef\xbb\xbfone\r\n\ttwo \x1b[2J\x07\r\n\xe2\x80\xae")
    (found,) = read(top, "a.md").documents
    assert found.text == "one\n\ttwo \\x1b[2J\\x07\n\\u202e"
    assert (found.document.size, found.document.kept, found.document.cut) == (23, len(found.text), False)


def test_of_a_huge_file_only_the_beginning_is_read_up_to_a_whole_line(top):
    line = "ü" * 50 + "\n"
    file = put(top, "a.md", line * 400)
    os.truncate(file, 100 * 1024 * 1024)
    (found,) = read(top, "a.md").documents
    assert found.text == line * (DOCUMENT_LIMIT // len(line.encode()))
    assert found.document.kept == len(found.text.encode()) <= DOCUMENT_LIMIT
    assert (found.document.size, found.document.cut) == (100 * 1024 * 1024, True)


@pytest.mark.parametrize("character", ["x", "é", "€", "😀", "\x1b"])
def test_a_file_without_lines_is_cut_between_characters(top, character):
    put(top, "a.md", character * DOCUMENT_LIMIT * 2)
    (found,) = read(top, "a.md").documents
    assert found.document.cut
    assert DOCUMENT_LIMIT - 4 <= found.document.kept == len(found.text.encode()) <= DOCUMENT_LIMIT
    assert "\N{REPLACEMENT CHARACTER}" not in found.text


@pytest.mark.deep
def test_ten_thousand_files_are_bounded_and_counted(top):
    for number in range(10_000):
        put(top, f"docs/{number:05}.md", "x" * 2000)
    found = read(top, "docs/*.md")
    kept = sum(one.document.kept for one in found.documents)
    assert CONTEXT_LIMIT - 2000 < kept <= CONTEXT_LIMIT
    assert [*texts(found)] == [f"docs/{number:05}.md" for number in range(len(found.documents))]
    assert {*reasons(found).values()} == {"there is no more room"}
    assert len(found.left_out) == LEFT_OUT_LIMIT
    assert len(found.documents) + len(found.left_out) + found.more == 10_000


def test_a_tree_that_is_too_large_is_looked_at_in_part_and_that_is_said(top, monkeypatch):
    monkeypatch.setattr(_documents, "ENTRIES_LIMIT", 10)
    for number in range(20):
        put(top, f"{number:02}.md", "x")
    found = read(top, "**/*.md")
    assert len(found.documents) == 10
    assert reasons(found) == {"**/*.md": "only the first 10 files and folders were looked at"}


@pytest.mark.deep
def test_folders_as_deep_as_the_system_allows_are_walked(top):
    folder, depth = os.open(top, os.O_RDONLY), 3000
    for _ in range(depth):
        os.mkdir("d", dir_fd=folder)
        below = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(os.open("a.md", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)
    put(top, "z.md", "x")
    try:
        assert texts(read(top, "**/*.md")) == {"z.md": "x"}
    finally:
        subprocess.run(["rm", "-rf", top / "d"], check=True)  # what clears up after tests does not get that deep


def test_a_file_that_changes_while_it_is_read_is_read_again(top, monkeypatch):
    file = put(top, "a.md", "before")
    piece, changes = os.read, [b"while", b"after"]

    def changing(descriptor, size):
        content = piece(descriptor, size)
        if changes and content:
            file.write_bytes(changes.pop(0) + b" the first reading")
        return content

    monkeypatch.setattr(_documents.os, "read", changing)
    assert texts(read(top, "a.md")) == {"a.md": "after the first reading"}
    changes[:] = [b"again" * number for number in range(9, 1, -1)]
    assert reasons(read(top, "a.md")) == {"a.md": "it changes while it is read"}


def test_names_that_are_no_text_are_shown_in_one_line(top):
    put(top, "a\nb.md", "1")
    put(top, "c\x1b[2J.md", "2")
    (top / os.fsdecode(b"caf\xe9.md")).write_text("3")
    found = read(top, "*.md")
    assert sorted(texts(found).values()) == ["1", "2", "3"]
    assert all(re.fullmatch(r"[\x20-\x7e]+", path) for path in texts(found))


def test_each_repository_is_looked_at_and_a_file_in_one_is_no_gap_in_another(tmp_path):
    for name in ("api", "web"):
        put(tmp_path, f"{name}/docs/a.md", name)
    put(tmp_path, "web/CLAUDE.md", "w")
    places = [DocumentPlace(repository=name, path=str(tmp_path / name)) for name in ("api", "web")]
    found = read_documents(places, ["CLAUDE.md", "docs/*.md"], ())
    assert [(one.document.repository, one.document.path) for one in found.documents] == [
        ("web", "CLAUDE.md"),
        ("api", "docs/a.md"),
        ("web", "docs/a.md"),
    ]
    assert found.left_out == ()
