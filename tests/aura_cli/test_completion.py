"""``aura completion``: the scripts, sourced by real shells which are asked to complete."""

import os
import pty
import re
import select
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Self

import pytest

from aura_cli.arguments.program import COMMANDS, program_with
from aura_cli.shell_completion.scripts import script_for
from aura_cli.shell_completion.tree import candidates
from command_line import ENVIRONMENT, run_aura

CASES = {
    "aura wor": {"workflow", "workspace"},
    "aura task ret": {"retry"},
    "aura help ta": {"task"},
    "aura --json audit ver": {"verify"},
    "aura --store task app": {"approval"},
    "aura run --append": {"--append-prompt"},
    "aura task list --st": {"--status", "--store"},
    "aura task list --status pen": {"pending"},
    "aura --compression z": {"zlib", "zstd"},
    "aura task move 0192 back": {"backlog"},
    "aura completion po": {"powershell"},
    "aura run --cwd fold": {"folder"},
    "aura run --prompt ta": set(),
}
"""What is typed, and the words that are offered."""


def shell(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed: apt-get install {name}, or brew install {name}")
    return path


SHELLS = ("bash", "zsh", "fish", "powershell")


@cache
def text_of(name: str) -> str:
    return script_for(name, candidates())


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A folder with the script of each shell, and with a folder and a file to complete."""
    for name in SHELLS:
        (tmp_path / name).write_text(text_of(name), "utf-8")
    (tmp_path / "folder").mkdir()
    return tmp_path


def ask(command: list[str], place: Path) -> list[str]:
    done = subprocess.run(
        command, cwd=place, env=ENVIRONMENT | {"HOME": str(place)}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.deep_but_first
@pytest.mark.parametrize("name", SHELLS)
def test_the_script_is_printed(name):
    answer = run_aura("completion", name)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == text_of(name)
    assert run_aura("completion", name, "--json").objects[0]["script"] == answer.out


# --- bash -------------------------------------------------------------------------------------------------------------


def bash(place: Path, typed: str, before: str = "") -> set[str]:
    words = [part for word in typed.split(" ") for part in re.split("(=)", word) if part or not word]
    script = f"""
        source ./bash; {before}
        [ "$(complete -p aura)" = "complete -F _aura aura" ] || exit 1
        COMP_WORDS=({" ".join(f"'{word}'" for word in words)}); COMP_CWORD={len(words) - 1}
        _aura
        for each in "${{COMPREPLY[@]}}"; do echo "$each"; done
    """
    return set(ask([shell("bash"), "--noprofile", "--norc", "-c", script], place))


@pytest.mark.parametrize("typed", CASES)
def test_bash(scripts, typed):
    assert bash(scripts, typed) == CASES[typed]


def test_bash_completes_a_value_behind_an_equals_sign(scripts):
    assert bash(scripts, "aura task list --status=pen") == {"pending"}
    assert bash(scripts, "aura task list --status=pending --js") == {"--json"}


def test_bash_completes_every_subcommand(scripts):
    for name, command in program_with(COMMANDS).subcommands.items():
        if command.subcommands:
            assert bash(scripts, f"aura {name} ") == set(command.subcommands)


def test_bash_asks_the_hook_for_ids(scripts):
    hook = '_aura_ids() { echo "$1-1"; echo "$1-2"; }'
    assert bash(scripts, "aura task show ", hook) == {"task-1", "task-2"}
    assert bash(scripts, "aura approval approve approval-", hook) == {"approval-1", "approval-2"}


# --- fish -------------------------------------------------------------------------------------------------------------


def fish(place: Path, typed: str, before: str = "") -> dict[str, str]:
    command = [shell("fish"), "--no-config", "-c", f"{before}\nsource ./fish; complete -C '{typed}'"]
    offered = [line.partition("\t") for line in ask(command, place)]
    return {word.rstrip("/"): about for word, _, about in offered}


@pytest.mark.parametrize("typed", CASES)
def test_fish(scripts, typed):
    assert set(fish(scripts, typed)) == CASES[typed]


def test_fish_shows_what_words_mean(scripts):
    assert fish(scripts, "aura task cre") == {"create": "create a task without starting it"}
    assert fish(scripts, "aura run --app")["--append-prompt"] == "text appended to every prompt"
    assert set(fish(scripts, "aura task list --status=pen")) == {"--status=pending"}
    assert set(fish(scripts, "aura task show ", "function _aura_ids\necho $argv[1]-1\nend")) == {"task-1"}


# --- zsh --------------------------------------------------------------------------------------------------------------


class Zsh:
    """An interactive zsh at a terminal of its own."""

    def __init__(self, place: Path) -> None:
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            [shell("zsh"), "-f", "-i"],
            cwd=place,
            env=ENVIRONMENT | {"HOME": str(place), "TERM": "dumb", "PS1": "ready%# "},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        self.type("unsetopt beep; LISTMAX=1000; stty columns 300; PS1='> '; autoload -U compinit; compinit -u -D\n")
        self.type("source ./zsh; echo lo''aded\n")
        self.until("loaded")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def until(self, wanted: str) -> str:
        """Read until something is printed."""
        seen = ""
        while wanted not in seen:
            ready, _, _ = select.select([self._ours], [], [], 20)
            assert ready, f"{wanted!r} was not printed, but {seen!r}"
            seen += os.read(self._ours, 65536).decode(errors="replace")
        return seen


@pytest.mark.deep
def test_zsh(scripts):
    with Zsh(scripts) as zsh:
        for typed, offered in CASES.items():
            if len(offered) == 1:
                zsh.type(f"{typed}\t")
                beginning, _, _ = typed.rpartition(" ")
                zsh.until(f"{beginning} {next(iter(offered))}")
                zsh.type("\x15")  # the line is discarded
        zsh.type("aura task list --status=pen\t")
        zsh.until("--status=pending")


def test_zsh_shows_what_words_mean(scripts):
    with Zsh(scripts) as zsh:
        zsh.type("aura task \t")
        zsh.until("create a task without starting it")


@pytest.mark.deep
def test_zsh_asks_the_hook_for_ids(scripts):
    with Zsh(scripts) as zsh:
        zsh.type("_aura_ids() { echo $1-0192; }\n")
        zsh.type("aura approval show app\t")
        zsh.until("aura approval show approval-0192")


# --- PowerShell -------------------------------------------------------------------------------------------------------


def test_powershell_is_balanced_and_knows_everything(scripts):
    """It cannot be installed here: its text is compared with the table, and its brackets and quotes are counted."""
    text = (scripts / "powershell").read_text("utf-8")
    code = re.sub(r"'(?:[^']|'')*'|\"[^\"]*\"|#.*", "", text)
    assert "'" not in code
    assert '"' not in code
    for left, right in ("()", "{}", "[]"):
        assert code.count(left) == code.count(right)
    rows = dict(re.findall(r"^    '((?:sub|opt|val|arg):[^']*)' = @\((.*)\)$", text, re.MULTILINE))
    assert set(rows) == set(candidates())
    for key, each in candidates().items():
        assert [found.replace("''", "'") for found in re.findall(r"@\('((?:[^']|'')*)', ", rows[key])] == (
            ["<files>"] if each.files else [f"<{each.ids}>"] if each.ids else [word for word, _ in each.words]
        )
    assert "Register-ArgumentCompleter -Native -CommandName aura" in text
