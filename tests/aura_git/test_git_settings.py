"""Every setting that git knows was looked at, and those that have git run a program do so where nothing prevents it.

That they do is what makes the tests of hostile settings worth something.
"""

import subprocess
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from git_settings import ELSEWHERE, HARMLESS, LOOKED_AT, PLACES, PROGRAMS, READ, WRITTEN, Program
from hostile_world import World

from aura_git.commandline._installation import parse_version
from repositories import ENVIRONMENT, git, make_repository

VERSION = parse_version(git(Path("/"), "--version")) or (0, 0)


LISTED = [*PROGRAMS, *f"{ELSEWHERE} {WRITTEN} {READ} {PLACES} {HARMLESS}".split()]


def known(key: str) -> bool:
    return any(fnmatchcase(key.lower(), one.lower()) for one in LISTED)


def test_every_setting_that_git_knows_was_looked_at() -> None:
    listed = [line for line in git(Path("/"), "help", "--config").splitlines() if "." in line and " " not in line]
    assert len(listed) > 500
    unknown = [key for key in listed if not known(key)]
    if unknown and VERSION > LOOKED_AT:
        pytest.skip(f"see whether these name programs, files or places: {unknown}")
    assert unknown == []


def shows_its_trace(folder: Path, program: Program) -> bool:
    """Whether plain git runs the program."""
    trap, more, hooks = folder / "trap", folder / "more", folder / "hooks"
    hooks.mkdir()
    for file in (trap, hooks / "pre-commit"):
        file.write_text(f"#!/bin/sh\necho >> {folder}/trace\n")
        file.chmod(0o755)
    more.write_text(f'[alias]\nx = "!{trap}"\n')
    make_repository(folder / "repo", {"a.txt": "a\n"})
    make_repository(folder / "other", {"a.txt": "a\n"})
    names = {"TRAP": str(trap), "MORE": str(more), "HOOKS": str(hooks), "O": str(folder / "other")}
    environment = {**ENVIRONMENT, "HOME": str(folder), **names, "TERM": "xterm", "BROWSER": ""}
    environment["GIT_CONFIG_GLOBAL"] = str(folder / "gitconfig")

    def run(script: str) -> None:
        command = ["sh", "-c", script]
        subprocess.run(command, cwd=folder / "repo", env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                       check=False, timeout=60)  # fmt: skip

    where = "--global" if program.protected else "--local"
    settings = ((program.key, program.value), *program.more)
    run("".join(f'git config {where} "{key}" "{value}"\n' for key, value in settings) + program.script)
    return (folder / "trace").exists()


@pytest.mark.deep
@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_plain_git_runs_the_program(tmp_path: Path, program: Program) -> None:
    if program.since > VERSION:
        pytest.skip(f"git {program.since} has it")
    assert shows_its_trace(tmp_path, program)


@pytest.mark.skipif(VERSION < (2, 54), reason="before 2.54, git has no configured hooks")
def test_hooks_that_the_user_has_configured_are_not_run(tmp_path: Path) -> None:
    world = World(tmp_path)
    for event in (
        "pre-commit",
        "commit-msg",
        "post-commit",
        "post-checkout",
        "post-index-change",
        "reference-transaction",
    ):
        world.sh(world.repo, f"git config --global 'hook.my one=.{event}.command' $TRAP")
        world.sh(world.repo, f"git config --global 'hook.my one=.{event}.event' {event}")
    world.begin()
    world.sh(world.tree, "echo x > b.txt")
    world.trace.unlink(missing_ok=True)
    world.finish()
    assert not world.trace.exists()
