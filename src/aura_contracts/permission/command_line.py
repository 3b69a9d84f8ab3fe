"""Command line: the commands, words and redirections that `aura_contracts.permission.shell` finds in a line. Pure."""

import re

import attrs


@attrs.frozen
class Word:
    """A word of a command: `text` without quotes and with holes, `source` as written.

    `glob` is `text` with further holes for unquoted wildcards and braces. `bare` words have nothing quoted.
    """

    text: str
    source: str
    glob: str
    bare: bool


@attrs.frozen
class Redirection:
    """A redirection: its operator, its target, and for ``<<`` the text itself."""

    operator: str
    target: Word
    body: str = ""

    @property
    def harmless(self) -> bool:
        """Whether it can neither read nor write a file: ``2>&1``, ``>/dev/null``."""
        if self.operator in ("<&", ">&") and re.fullmatch(r"[0-9]+-?|-", self.target.source):
            return True
        return self.operator in ("<", ">", ">>", ">&") and self.target.source == "/dev/null"


@attrs.frozen
class SimpleCommand:
    """A command with its words, beginning with assignments and keywords, and its redirections."""

    words: tuple[Word, ...]
    redirections: tuple[Redirection, ...] = ()

    @property
    def source(self) -> str:
        """The words as written, with one space between them."""
        return " ".join(word.source for word in self.words)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The texts that the line gives it to read: here-documents and here-strings."""
        return tuple(one.body or one.target.text for one in self.redirections if one.operator.startswith("<<"))


@attrs.define
class CommandLine:
    """The commands of a line. `doubts` say what was not understood; `plain` means only commands one after another.

    Shared by all who read the same line: not to be changed.
    """

    commands: list[SimpleCommand] = attrs.field(factory=list)
    doubts: list[str] = attrs.field(factory=list)
    plain: bool = True
