"""Remedies: the library speaks of its own calls, and the command line of commands."""

import re
from pathlib import Path

import pytest

import aura_engine
from aura_cli.rendering.errors import as_commands
from command_line import call_aura

LIBRARY = [path for path in Path(aura_engine.__file__).parents[1].glob("aura_*") if path.name != "aura_cli"]


@pytest.mark.parametrize(
    ("remedy", "shown"),
    [
        ("approvals.approve('0192') when it is resolved", "aura approval approve 0192 when it is resolved"),
        ("tasks.follow_up('0192', feedback='TEXT')", "aura task follow-up 0192 --feedback TEXT"),
        ("tasks.assign('01', agent='ID', repositories=[])", "aura task assign 01 --agent ID --outside"),
        ("doctor.fix(finding) ends it", "aura doctor --fix ends it"),
        ("`store.check()`; the log is sound", "`aura db check`; the log is sound"),
        ("or use in_place=True: at once", "or use --in-place: at once"),
        ("take them along with copy_files=GLOB, or", "take them along with --copy GLOB, or"),
        ("name one with target_branch=BRANCH", "name one with --target-branch BRANCH"),
        ("use datetime.now(UTC)", "use datetime.now(UTC)"),
        ("", ""),
    ],
)
def test_a_call_becomes_a_command(remedy, shown):
    assert as_commands(remedy) == shown


def test_the_library_names_no_command_and_only_methods_that_exist():
    text = {path: path.read_text(encoding="utf-8") for folder in LIBRARY for path in folder.rglob("*.py")}
    commands = "approval|task|agent|workspace|session|audit|db|doctor|executors|run"
    assert [path.name for path, source in text.items() if re.search(rf"(?<!b)[\"`]aura ({commands})\b", source)] == []
    noun = "tasks|approvals|agents|workspaces|store|audit|doctor|executors"
    named = {
        (call[1], call[2])
        for source in text.values()
        for call in re.finditer(rf"[\"`, ]({noun})\.(\w+)\(", source)
        if "remedy" in source[max(0, call.start() - 120) : call.start()]
    }
    assert len(named) >= 6
    modules = {noun: __import__(f"aura_engine.facade.{noun}", fromlist=[noun]) for noun, _ in named}
    assert [(noun, verb) for noun, verb in named if not hasattr(getattr(modules[noun], noun.title()), verb)] == []


def test_the_commands_of_remedies_exist():
    calls = ("approvals.approve()", "approvals.reject()", "tasks.assign()", "tasks.move()", "tasks.cancel()")
    for call in (*calls, "audit.verify()", "store.check()"):
        assert call_aura(*as_commands(call).split()[1:], "--help").code == 0
