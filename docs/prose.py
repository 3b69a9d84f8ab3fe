"""Look for the words of `docs/prose.toml` in everything that people read.

python docs/prose.py                 report what is above its budget; exit with 1 if anything is
python docs/prose.py --all [PART]    report every use, of one package or of `docs`
python docs/prose.py --lower         write budgets that are lower into `docs/prose-budget.toml`

It reads README.md and the other pages (but not their code, nor generated pages, whose words are in the source), the
fragments of the changelog, the examples, and all docstrings, comments and strings of the source.
"""  # noqa: INP001  # a script, not a package

import argparse
import ast
import io
import re
import sys
import tokenize
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
WORDS = ROOT / "docs/prose.toml"
BUDGET = ROOT / "docs/prose-budget.toml"

GENERATED = "<!-- Generated from the code"

_CODE = re.compile(r"^```.*?^```|`[^`\n]*`|\]\([^)]*\)", re.MULTILINE | re.DOTALL)
_EXCUSE = re.compile(r"prose: allow (.*)")
_QUOTED = re.compile(r'"([^"]+)"')


class Word(NamedTuple):
    """A word to avoid."""

    pattern: re.Pattern[str]
    better: str


class Text(NamedTuple):
    """A piece of prose with the lines of the file that it is on."""

    words: str
    first: int
    last: int


class Hit(NamedTuple):
    """A use of a word to avoid."""

    part: str
    path: str
    line: int
    words: str
    better: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.words!r}; better: {self.better}"


def main(arguments: list[str] | None = None) -> int:
    """Report; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", nargs="?", const="", metavar="PART", help="report every use, whatever the budget")
    parser.add_argument("--lower", action="store_true", help="lower the budgets to what is used now")
    options = parser.parse_args(arguments)
    hits = sorted(find())
    used, budget = Counter(hit.part for hit in hits), read_budget()
    if options.lower:
        write_budget({part: min(most, used[part]) for part, most in budget.items()})
        return 0
    above = {part for part in used if used[part] > budget.get(part, 0)}
    shown = above if options.all is None else {options.all} if options.all else set(used)
    for hit in hits:
        if hit.part in shown:
            sys.stdout.write(f"{hit}\n")
    for part in sorted({*used, *budget}):
        sys.stdout.write(f"{part}: {used[part]} of at most {budget.get(part, 0)}\n")
    return 1 if above else 0


def find() -> Iterator[Hit]:
    """Yield every use that is not excused."""
    words = read_words()
    for part, path in _files():
        source = path.read_text("utf-8")
        texts = list(_python(source) if path.suffix == ".py" else _markdown(source))
        yield from _uses(part, path.relative_to(ROOT).as_posix(), texts, words)


def read_words(path: Path = WORDS) -> list[Word]:
    """Return the words to avoid."""
    listed = tomllib.loads(path.read_text("utf-8"))["word"]
    return [Word(re.compile(one["pattern"].replace(" ", r"\s+"), re.IGNORECASE), one["better"]) for one in listed]


def read_budget() -> dict[str, int]:
    """Return how many uses each part may still have."""
    return {str(part): int(most) for part, most in tomllib.loads(BUDGET.read_text("utf-8")).items()}


def write_budget(budget: dict[str, int]) -> None:
    """Write the budgets below the comment of the file."""
    comment = "".join(line for line in BUDGET.read_text("utf-8").splitlines(keepends=True) if line.startswith("#"))
    BUDGET.write_text(comment + "".join(f"{part} = {most}\n" for part, most in budget.items()), "utf-8")


# --- What is read -----------------------------------------------------------------------------------------------------


def _files() -> Iterator[tuple[str, Path]]:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "changelog.d").glob("*.md")]
    yield from (("docs", path) for path in pages if GENERATED not in path.read_text("utf-8")[:500])
    yield from (("docs", path) for path in (ROOT / "docs").rglob("*.py"))
    yield from (("examples", path) for kind in ("*.py", "*.md") for path in (ROOT / "examples").rglob(kind))
    for path in (path for kind in ("*.py", "*.toml") for path in (ROOT / "src").rglob(kind)):
        yield path.relative_to(ROOT / "src").parts[0], path


def _markdown(source: str) -> Iterator[Text]:
    """Yield the paragraphs of a page, or of a TOML file, without code and addresses; lines stay where they are."""
    prose = _CODE.sub(lambda code: "\n" * code[0].count("\n"), source)
    for found in re.finditer(r"(?:.+\n?)+", prose):
        first = prose[: found.start()].count("\n") + 1
        yield Text(found[0], first, first + found[0].count("\n"))


def _python(source: str) -> Iterator[Text]:
    """Yield the strings, docstrings and blocks of comments of a module."""
    yield from _comments(source)
    tree = ast.parse(source)
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            words = "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            words = node.value
        else:
            continue
        yield Text(words, node.lineno, node.end_lineno or node.lineno)


def _comments(source: str) -> Iterator[Text]:
    lines: list[tuple[int, str]] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            line = token.start[0]
            if lines and lines[-1][0] != line - 1:
                yield Text("\n".join(words for _, words in lines), lines[0][0], lines[-1][0])
                lines = []
            lines.append((line, token.string.lstrip("# ")))
    if lines:
        yield Text("\n".join(words for _, words in lines), lines[0][0], lines[-1][0])


# --- What is found ----------------------------------------------------------------------------------------------------


def _uses(part: str, path: str, texts: list[Text], words: Iterable[Word]) -> Iterator[Hit]:
    excuses = [
        (line, quoted.lower())
        for text in texts
        for line, words_of_line in enumerate(text.words.splitlines(), text.first)
        if (excuse := _EXCUSE.search(words_of_line))
        for quoted in _QUOTED.findall(excuse[1])
    ]
    for text in texts:
        near = {quoted for line, quoted in excuses if text.first - 1 <= line <= text.last + 1}
        for word in words:
            for found in word.pattern.finditer(text.words):
                said = " ".join(found[0].split())
                if said.lower() not in near:
                    line = min(text.first + text.words[: found.start()].count("\n"), text.last)
                    yield Hit(part, path, line, said, word.better)


if __name__ == "__main__":
    sys.exit(main())
