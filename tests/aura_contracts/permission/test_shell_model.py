"""Lines of shell against what shells do with them.

The model is the shell itself: each line runs in a folder of its own, with programs that only record that they ran.
`bash -n` says which lines are no shell at all.
"""

import os
import re
import shutil
import subprocess

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from aura_contracts.approval import ToolCall
from aura_contracts.permission import PermissionRules, Ruling, judge

SHELLS = [name for name in ("bash", "dash", "zsh") if shutil.which(name)]

pytestmark = pytest.mark.skipif("bash" not in SHELLS, reason="bash is not installed")

STUB = '#!/bin/sh\nprintf "%s\\n" "${0##*/}" >> "$RAN"\n'

PIECES = [
    *("make", "rm", "make ", "rm ", "x", "-f", " ", " ", "\t", "\n", ";", "&&", "||", "|", "&", "|&", "&>f ", "; "),
    *("'", '"', "\\", "\\\n", "''", '""', "r\\m ", "r''m ", '"rm" ', "'make x'", "'rm x'", '"$(rm x)"', "`rm x`"),
    *("$(", ")", "`", "(", "{ ", "; }", "$X ", "${X} ", "${X:-make} ", "$((", "))", "$((1+1))", "$'\\x72m' ", '$"rm" '),
    *(">f ", "2>f ", ">>f ", "2>&1", ">/dev/null", "< /dev/null ", ">|f ", "<>f ", "{fd}>f ", "3>&1 ", "<<<x "),
    *("<<E\n", "<<'E'\n", "<<-E\n\t", "\nE\n", "\n\tE\n", "#", " # ", "A=1 ", "A='b c' ", 'A="$(rm)" ', "A+=1 "),
    *("env ", "env -i ", "nohup ", "xargs ", "echo rm | ", "sh -c ", "bash -c ", "eval ", "exec ", "command ", "time "),
    *("nice ", "timeout 5 ", "sh", "builtin ", "trap ", " EXIT", "printf 'rm x' | ", "find . -exec ", " {} +", " \\;"),
    *("if ", "then ", "fi", "else ", "! ", "for i in rm; do ", "; done", "$i ", "case x in x) ", ";; esac", "g() { "),
    *(
        "g ",
        "a=(",
        "{rm,x} ",
        "[ ",
        " ]",
        "[[ ",
        "]]",
        "~",
        "*",
        "?",
        "r? ",
        "BIN/rm ",
        "BIN/r? ",
        "=",
        "=rm ",
        "<(",
        "=(",
    ),
    *(
        "true ",
        "false ",
        "\r",
        "\x0b",
        "\u00a0",
        "é",
        "$",
        "$\\\n(",
        "&\\\n& ",
        "env -S 'rm x' ",
        "exec -a make ",
        "- ",
    ),
]


@pytest.fixture(scope="module")
def stubs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bin")
    for name in ("make", "rm"):
        (folder / name).write_text(STUB)
        (folder / name).chmod(0o755)
    return folder


def ran(shell, line, stubs, folder):
    """Return the programs that ran."""
    record = folder / "ran"
    record.unlink(missing_ok=True)
    environment = {
        "PATH": f"{stubs}:/usr/bin:/bin",
        "RAN": str(record),
        "X": "rm",
        "FUNCNEST": "5",
        "LC_ALL": "C.UTF-8",
    }
    flags = ["-f"] if shell == "zsh" else []
    try:
        subprocess.run(
            [shell, *flags, "-c", line],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=5,
            check=False,
        )
    except subprocess.TimeoutExpired:
        assume(condition=False)
    return set(record.read_text().split()) if record.exists() else set()


def verdict(line, allow, deny=()):
    return judge(PermissionRules(allow=allow, deny=deny), ToolCall("Bash", "f", {"command": line})).verdict


lines = st.lists(st.sampled_from(PIECES), min_size=1, max_size=12).map("".join)
plain = st.lists(
    st.sampled_from(
        ["make", " x", " ", ";", " && ", "|", "\n", " 2>&1", " 'rm x'", ' "a b"', " -f", "&", "rm x", " *.c"]
    ),
    min_size=1,
    max_size=8,
).map("".join)
run = settings(
    max_examples=20_000 if settings.default.max_examples > 1_000 else settings.default.max_examples,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)


@run
@given(line=lines | plain, shell=st.sampled_from(SHELLS or ["bash"]))
@example(line="make\\\n; rm x", shell="bash")
@example(line="make &>f rm x", shell="dash")
@example(line="make && ", shell="bash")
@example(line=";make", shell="bash")
@example(line="make ||| make", shell="bash")
@example(line="make $(make |)", shell="bash")
def test_a_line_that_a_pattern_allows_runs_only_what_it_names(line, shell, stubs, tmp_path):
    line = line.replace("BIN", str(stubs))
    if verdict(line, ("Bash(make *)",)) is Ruling.ALLOWED:
        assert ran(shell, line, stubs, tmp_path) <= {"make"}
        checked = subprocess.run(["bash", "-n", "-c", line], capture_output=True, check=False)
        assert checked.returncode == 0


@run
@given(line=lines, shell=st.sampled_from(SHELLS or ["bash"]))
@example(line="A='b c' rm x", shell="bash")
@example(line="{fd}>f rm x", shell="bash")
@example(line="echo rm | xargs env", shell="bash")
@example(line="printf 'rm x' | sh -c sh -c ", shell="bash")
@example(line="printf 'rm x' | bash -c -o errexit bash", shell="bash")
@example(line="printf 'rm x' | sh -c 'sh -c sh' x", shell="bash")
def test_a_line_that_is_not_refused_and_not_asked_does_not_run_what_is_denied(line, shell, stubs, tmp_path):
    line = line.replace("BIN", str(stubs))
    if verdict(line, ("Bash",), ("Bash(rm *)",)) is Ruling.ALLOWED:
        assert "rm" not in ran(shell, line, stubs, tmp_path)


@run
@given(line=plain)
def test_plain_lines_of_allowed_commands_are_allowed(line, stubs, tmp_path):
    """Rules that ask about everything would pass the tests above."""
    checked = subprocess.run(["bash", "-n", "-c", line], capture_output=True, check=False)
    simple = checked.returncode == 0 and "rm" not in line.replace("'rm x'", "") and line == line.strip()
    simple = simple and not re.search(r"2>&1[^\s;&|]", line)  # a file of that name
    if simple and all(part.startswith("make") for part in os.fsdecode(line).replace("&&", ";").split(";")):
        commands = [part.strip() for part in line.replace("&&", "\n").replace(";", "\n").replace("|", "\n").split("\n")]
        if all(one.split(" ")[0] == "make" for one in commands) and "&" not in line.replace("2>&1", "").replace(
            "&&", ""
        ):
            assert verdict(line, ("Bash(make *)",)) is Ruling.ALLOWED
