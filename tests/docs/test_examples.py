"""Every example in the documentation runs, prints what the page shows, and passes mypy.

- A ``python`` block is a program, run in an empty folder. A ``text`` block directly below shows its output.
- A ``console`` block whose lines begin with ``$`` is a session. Its commands run in one shell, in an empty folder; the
  lines below a command are its output on both streams, and ``...`` matches anything within a line. The sessions of a
  page of the tutorial are one session.
- A ``console`` block without ``$`` holds commands to copy. ``.ci/run`` runs the set-up commands in a fresh clone; here
  they are only parsed.
- A ``py`` block is a part of a file that other tests run and compare: see `tests/conformance/test_docs.py`.
- Programs are formatted, and links lead to existing files.
"""

import re
import shlex
import subprocess
import sys
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pytest

from command_line import AURA, ENVIRONMENT
from repositories import ENVIRONMENT as GIT

ROOT = Path(__file__).parents[2]

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

MARK = "::end of a command::"


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(path: Path) -> list[Block]:
    text = path.read_text("utf-8")
    return [
        Block(path.relative_to(ROOT).as_posix(), text[: found.start()].count("\n") + 1, found[1], found[2])
        for found in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
PROGRAMS = [block for block in BLOCKS if block.language == "python"]
SESSIONS = [block for block in BLOCKS if block.language == "console" and block.text.startswith("$ ")]
COMMANDS = [block for block in BLOCKS if block.language == "console" and block not in SESSIONS]


def sittings() -> list[Block]:
    """Return what runs in one shell: the sessions of a page of the tutorial together, any other alone."""
    found: list[Block] = []
    for page, blocks in groupby(SESSIONS, key=lambda block: block.page):
        first, *others = blocks
        if page.startswith("docs/tutorial/"):
            found.append(first._replace(text="".join(block.text for block in (first, *others))))
        else:
            found += (first, *others)
    return found


def surroundings(folder: Path) -> dict[str, str]:
    """Return the environment of a reader called alice whose data is in `folder`."""
    return ENVIRONMENT | GIT | {"AURA_HOME": str(folder / "home"), "AURA_USER": "alice"}


def each(name: str, blocks: list[Block]) -> pytest.MarkDecorator:
    """Run a test with each of these blocks: the README's and the tutorial's always, the others if deep."""
    first = ("README.md", "docs/tutorial/")
    marks = {False: [pytest.mark.deep], True: []}
    return pytest.mark.parametrize(
        name, [pytest.param(block, id=str(block), marks=marks[block.page.startswith(first)]) for block in blocks]
    )


def output_of(program: Block) -> str | None:
    """Return the expected output of a program: the text block directly below it, if there is one."""
    behind = BLOCKS[BLOCKS.index(program) + 1 :]
    if behind and behind[0].page == program.page and behind[0].language == "text":
        end = program.line + program.text.count("\n") + 2
        return behind[0].text if behind[0].line <= end + 1 else None
    return None


def pattern(line: str) -> str:
    return ".*".join(map(re.escape, line.split("...")))


def test_the_documentation_has_programs_and_sessions():
    assert PROGRAMS
    assert SESSIONS
    assert {block.language for block in BLOCKS} <= {
        "python",
        "py",
        "console",
        "text",
        "mermaid",
        "sql",
        "ini",
        "json",
        "toml",
        "yaml",
    }


def test_programs_are_formatted(tmp_path):
    """A replaced name may have left a line that is too long."""
    for number, program in enumerate(PROGRAMS):
        (tmp_path / f"{number}.py").write_text(f"# {program}\n\n{program.text}", "utf-8")
    command = [sys.executable, "-m", "ruff", "format", "--diff", "--config", ROOT / "pyproject.toml", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@each("program", PROGRAMS)
def test_a_program_prints_what_the_page_shows(program, tmp_path):
    here = tmp_path / "here"
    here.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program.text],
        cwd=here,
        env=surroundings(tmp_path),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    expected = output_of(program)
    assert expected is None or done.stdout == expected


@pytest.mark.deep
def test_programs_pass_mypy(tmp_path):
    import mypy.api  # here, because all workers import all tests

    files = {f"{program.page.replace('/', '_').replace('-', '_')[:-3]}_{program.line}": program for program in PROGRAMS}
    for name, program in files.items():
        (tmp_path / f"{name}.py").write_text(program.text, "utf-8")
    report, trouble, code = mypy.api.run(
        ["--strict", "--config-file=", f"--cache-dir={ROOT / '.mypy_cache'}", *map(str, tmp_path.glob("*.py"))]
    )

    def as_written(found: re.Match[str]) -> str:
        program = files[found["file"]]
        return f"{program.page}:{program.line + int(found['line'])}"

    assert code == 0, re.sub(r"\S*?(?P<file>\w+)\.py:(?P<line>\d+)", as_written, report + trouble)


@each("session", sittings())
def test_a_session_prints_what_the_page_shows(session, tmp_path):
    shown = re.split(r"^\$ ", session.text, flags=re.MULTILINE)[1:]
    commands = [text.partition("\n")[0] for text in shown]
    script = "\n".join(f"{command}\necho {shlex.quote(MARK)}" for command in commands)
    done = subprocess.run(
        ["bash", "-c", f"exec 2>&1; set -eu\n{script}"],
        cwd=tmp_path,
        env=surroundings(tmp_path) | {"PATH": f"{Path(AURA).parent}:{ENVIRONMENT['PATH']}", "PYTHONUTF8": "1"},
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    printed = done.stdout.split(f"{MARK}\n")
    assert len(printed) == len(commands) + 1, done.stdout
    for text, output in zip(shown, printed, strict=False):
        _, _, expected = text.partition("\n")
        wanted = "\n".join(map(pattern, expected.rstrip("\n").split("\n")))
        assert re.fullmatch(wanted, output.rstrip("\n")), f"{text}\n--- printed:\n{output}"


@pytest.mark.parametrize("block", COMMANDS, ids=str)
def test_a_command_to_copy_is_one_line(block):
    for line in block.text.splitlines():
        assert shlex.split(line), line
        assert not line.endswith("\\")


def test_the_readme_has_two_set_up_commands_for_a_fresh_clone():
    lines = [line for block in COMMANDS if block.page == "README.md" for line in block.text.splitlines()]
    assert len(lines) == 2
    demo, tests = lines
    assert demo.startswith("python3 -m venv .venv && ")
    assert demo.endswith("aura demo")
    assert tests.startswith("python3 -m venv .venv && ")
    assert "pytest" in tests


def test_links_lead_to_files():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            assert "://" in target or (page.parent / target).exists(), f"{page}: {target}"
