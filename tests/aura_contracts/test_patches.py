"""Patches: which lines a diff of git shows, and where a line is in the next one."""

import subprocess

import pytest

from aura_contracts.patches import LineAnchor, line_now, lines_of


def diff_of(folder, before: dict[str, str], after: dict[str, str]) -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout

    git("init", "-q")
    for files in (before, after):
        for name in {*before, *after}:
            (folder / name).unlink(missing_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text)
        git("add", "-A")
        git("-c", "user.name=a", "-c", "user.email=a", "commit", "-qm", "x", "--allow-empty")
    return git("diff", "--full-index", "HEAD~", "HEAD")


def test_each_line_has_its_file_number_and_blob(tmp_path):
    before = {"a.txt": "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "gone": "-- a/x\n", "same": "x\n"}
    after = {"a.txt": "1\n2\nthree\n4\n5\n6\n7\n8\n9\nten\n", 'ä "b" c': "++ b/x\n@@ -1 +1 @@\n", "same": "x\n"}
    lines = list(lines_of(diff_of(tmp_path, before, after)))
    shown = {(one.path, one.line, one.removed): one.content for one in lines}
    assert shown["a.txt", 3, True] == "3"
    assert shown["a.txt", 3, False] == "three"
    assert shown["a.txt", 10, False] == "ten"
    assert shown["gone", 1, True] == "-- a/x"
    assert shown['ä "b" c', 2, False] == "@@ -1 +1 @@"
    assert {path for path, _, _ in shown} == {"a.txt", "gone", 'ä "b" c'}
    (new,) = {one.blob for one in lines if one.path == "a.txt" and not one.removed}
    blob = subprocess.run(["git", "rev-parse", "HEAD:a.txt"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert new == blob.stdout.strip()


def test_several_repositories_are_told_apart():
    part = "diff --git a/f b/f\nindex 1..2 100644\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-old\n+new\n\\ No newline\n"
    lines = list(lines_of(f"# repository app\n{part}# repository lib\n{part}"))
    assert [(one.repository, one.blob, one.content) for one in lines] == [
        ("app", "1", "old"), ("app", "2", "new"), ("lib", "1", "old"), ("lib", "2", "new"),
    ]  # fmt: skip


@pytest.mark.parametrize("end", range(0, 90, 7))
def test_a_patch_that_was_cut_shows_what_is_left(end):
    patch = "diff --git a/f b/f\nindex 1..2 100644\n--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n same\n-old\n+new\n"
    assert len(list(lines_of(patch[:end]))) <= 3


def test_a_line_is_found_again_by_its_content_and_the_nearest_counts():
    def line(number: int, content: str = "x", **more: object) -> LineAnchor:
        return LineAnchor(path="f", line=number, content=content, **more)  # type: ignore[arg-type]

    assert line_now(line(5), [line(1), line(7), line(5, "y"), line(5, removed=True)]) == 7
    assert line_now(line(5), [line(5, "y"), LineAnchor(path="g", line=5, content="x")]) is None
