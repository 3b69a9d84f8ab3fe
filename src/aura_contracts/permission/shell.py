"""Shell: the commands in a line of shell, as far as they are known without running it. Pure.

This is not a shell. It finds where each command begins and ends, what its words are, and **whether that is certain**.
What a shell would only know when it runs is a hole in a word (`aura_contracts.permission.wildcards.HOLE`). Whatever is
not understood (``case``, functions, arrays, arithmetic, extended globs, control characters) is a doubt; callers ask a
human then. So the grammar may be small, but what it understands, bash, dash and zsh must understand in the same way.

Structure is flat: ``if a; then b; fi`` is the commands ``if a``, ``then b`` and ``fi``, and the commands of a
substitution come before the one it is part of. A flat list may show a command that would not run, but hides none.
"""

import re
from functools import lru_cache

from aura_contracts.permission.command_line import CommandLine, Redirection, SimpleCommand, Word
from aura_contracts.permission.wildcards import HOLE

COMMAND_LIMIT = 8_192
"""Maximum characters of a line that is read: an agent must not keep AURA busy with it."""

_DEPTH = 40
"""Maximum nesting of brackets and substitutions."""

KEYWORDS = frozenset(
    {
        *("!", "{", "}", "if", "then", "elif", "else", "fi", "do", "done", "while", "until", "esac"),
        *("and", "or", "not", "begin", "end"),  # fish
        *("noglob", "nocorrect", "-"),  # zsh
    }
)
"""Words before a command that are not its name."""

_NOT_UNDERSTOOD = frozenset({"case", "select", "function", "coproc", "foreach", "repeat", "switch", "[[", "(("})
_RESERVED = KEYWORDS | _NOT_UNDERSTOOD | {"for"}

_HERE_DOCUMENTS_LIMIT = 20

_NAME = r"[A-Za-z_]\w*"
ASSIGNMENT = re.compile(rf"{_NAME}(?:\[[^\]]*\])?\+?=", re.ASCII)
"""The beginning of a word that sets a variable."""

_PARAMETER = re.compile(rf"\$(?:{_NAME}|[0-9@*#?$!_-])", re.ASCII)
_BRACED = re.compile(rf"\$\{{#?(?:{_NAME}|[0-9@*?#$!-])(?:[:%#/^,+=?-][^`$\"'\\{{}}()\n]*)?\}}", re.ASCII)
_ARITHMETIC = re.compile(r"\$\(\([0-9\s+\-*/%<>=!&|~^?:,]*\)\)", re.ASCII)
_ANSI_C = re.compile(r"\$'(?:[^'\\]|\\.)*'", re.DOTALL)
_REDIRECTION = re.compile(r"<<<|<<-?|<>|<&|>&|>>|>\||<|>")
_DESCRIPTOR = re.compile(r"[0-9]+|\{[A-Za-z_]\w*\}", re.ASCII)
_CONTROL = re.compile(r"[^\S \t\n]|[\x01-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_ENDS_WORD = frozenset(" \t\n;&|()<>")
_LINE_CONTINUED = "\\\n"


@lru_cache(maxsize=32)
def read_line(text: str) -> CommandLine:
    """Return the commands in `text`.

    >>> [command.source for command in read_line("make -j4 2>&1 | tail; echo $(rm x)").commands]
    ['make -j4', 'tail', 'rm x', 'echo $(rm x)']
    """
    line = CommandLine()
    if len(text) > COMMAND_LIMIT:
        line.doubts.append("a line that is too long")
        return line
    if _CONTROL.search(text):
        line.doubts.append("a control character or an unusual space")
    _Reader(text, line, 0).read("")
    return line


class _Reader:
    """Reads one text; `line` collects what is found, also in the texts nested in it."""

    def __init__(self, text: str, line: CommandLine, depth: int) -> None:
        self._text = text
        self._at = 0
        self._line = line
        self._depth = depth
        self._here: list[tuple[Word, bool]] = []
        """The delimiters of here-documents whose text follows after this line, and whether tabs are removed."""
        self._joined = False
        """Whether an operator (``&&``, ``||``, ``|``) still needs the command after it."""
        self._half = ""
        """The first character of ``&&`` or ``||``, before the second is read."""

    def read(self, end: str) -> None:
        """Read commands up to the closing bracket `end`, or to the end of the text."""
        self._depth += 1
        if self._depth > _DEPTH:
            self._doubt("too many brackets")
            self._at = len(self._text)
        words: list[Word] = []
        redirections: list[Redirection] = []
        while self._at < len(self._text):
            char = self._text[self._at]
            if char in " \t":
                self._at += 1
            elif char == "#" or self._text.startswith(_LINE_CONTINUED, self._at):
                self._skip(char)
            elif char in ";&|\n()":
                self._flush(words, redirections)
                if self._operator(char, end, after_words=bool(words), after_nothing=not words and not redirections):
                    return
                words, redirections = [], []
            elif char in "<>" and self._text[self._at + 1 : self._at + 2] != "(":
                self._redirection(words, redirections)
            else:
                words.append(self._word())
        self._flush(words, redirections)
        self._require_joined()
        if end:
            self._doubt("a bracket is not closed")
        if self._here:
            self._doubt("a here-document without its text")
            self._here.clear()
        self._depth -= 1

    def _operator(self, char: str, end: str, *, after_words: bool, after_nothing: bool) -> bool:
        """Read what separates commands; return whether it closes the bracket `end`."""
        self._at += 1
        following = self._text[self._at : self._at + 1]
        if char in ";&|":
            self._separate(char, following, after_nothing=after_nothing)
        if char == ")":
            self._require_joined()
            if end:
                self._depth -= 1
                return True
            self._doubt("a bracket that nothing opens")
        elif char == "(":
            self._line.plain = False
            if after_words:
                self._doubt("a bracket after a word")
            self.read(")")
        elif char == "\n":
            self._here_documents()
        elif char == "&" and following == ">":
            self._doubt("&>, which shells do not agree about")
        elif char == ";" and following in (";", "&"):
            self._doubt("a branch of case")
        return False

    def _separate(self, char: str, following: str, *, after_nothing: bool) -> None:
        """Read one character of an operator between two commands."""
        if self._half == char:
            self._half = ""
            return
        if after_nothing and not self._text[: self._at - 1].rstrip(" \t").endswith(")"):
            self._doubt("an operator with nothing before it")
        self._half = char if char in "&|" and following == char else ""
        self._joined = char == "|" or bool(self._half)

    def _require_joined(self) -> None:
        if self._joined:
            self._doubt("an operator with nothing after it")

    def _flush(self, words: list[Word], redirections: list[Redirection]) -> None:
        if not words and not redirections:
            return
        self._joined = False
        if words and words[0].bare and words[0].text in _RESERVED:
            self._line.plain = False
            named = next((word.text for word in words if word.bare and word.text not in KEYWORDS), "")
            if named in _NOT_UNDERSTOOD:
                self._doubt(named)
        self._line.commands.append(SimpleCommand(tuple(words), tuple(redirections)))

    def _skip(self, char: str) -> None:
        """Skip a line continuation, or a comment."""
        if char != "#":
            self._continued()
            return
        self._line.plain = False  # an interactive zsh runs it
        newline = self._text.find("\n", self._at)
        self._at = len(self._text) if newline < 0 else newline

    def _continued(self) -> None:
        if self._at and self._text[self._at - 1] in "&|<>$;(":
            self._doubt("an operator on two lines")
        self._at += len(_LINE_CONTINUED)

    # --- Redirections

    def _redirection(self, words: list[Word], redirections: list[Redirection]) -> None:
        if words and self._text[self._at - 1] not in " \t\n" and _DESCRIPTOR.fullmatch(words[-1].source):
            words.pop()  # the number of the stream
        found = _REDIRECTION.match(self._text, self._at)
        assert found is not None
        self._at = found.end()
        while self._text[self._at : self._at + 1] in (" ", "\t"):
            self._at += 1
        target = self._word()
        if not target.source:
            self._doubt("a redirection to nothing")
        redirections.append(Redirection(found[0], target))
        if found[0] in ("<<", "<<-"):
            self._here.append((target, found[0] == "<<-"))

    def _here_documents(self) -> None:
        if len(self._here) > _HERE_DOCUMENTS_LIMIT:
            self._doubt("too many here-documents")
        for delimiter, tabs in self._here[:_HERE_DOCUMENTS_LIMIT]:
            body: list[str] = []
            while self._at < len(self._text):
                newline = self._text.find("\n", self._at)
                stop = len(self._text) if newline < 0 else newline
                written = self._text[self._at : stop].lstrip("\t") if tabs else self._text[self._at : stop]
                self._at = min(stop + 1, len(self._text))
                if written == delimiter.text:
                    break
                body.append(written)
            else:
                self._doubt("a here-document without its end")
            text = "\n".join(body)
            if delimiter.bare:
                text = _Reader(text, self._line, self._depth).quoted("")
            self._replace(delimiter, Redirection("<<", delimiter, text))
        self._here.clear()

    def _replace(self, delimiter: Word, whole: Redirection) -> None:
        """Put the text of a here-document into its command, which was complete before the text came."""
        for place, command in enumerate(self._line.commands):
            if any(one.target is delimiter for one in command.redirections):
                parts = tuple(whole if one.target is delimiter else one for one in command.redirections)
                self._line.commands[place] = SimpleCommand(command.words, parts)

    # --- Words

    def _word(self) -> Word:
        start, text, glob, bare, braced = self._at, "", "", True, False
        while self._at < len(self._text):
            char = self._text[self._at]
            if char in "<>" and self._text[self._at + 1 : self._at + 2] == "(":
                self._at += 2
                self.read(")")
                piece = HOLE
            elif char in _ENDS_WORD:
                break
            else:
                bare = bare and char not in "'\"\\"
                piece = self._piece(char)
            text += piece
            if not braced:
                braced = char == "{"
                glob += HOLE if char in "*?[{" else piece
        source = self._text[start : self._at]
        if text == "[":
            glob = text
        elif text.startswith("="):
            glob = HOLE + glob[1:]  # zsh: the path of the program of this name
        if self._text[self._at : self._at + 1] == "(":
            self._doubt("a bracket in a word")
        return Word(text, source.replace(_LINE_CONTINUED, ""), glob, bare and HOLE not in text)

    def _piece(self, char: str) -> str:
        """Read one unquoted character or quoted text; return it without the quotes."""
        match char:
            case "\\":
                return self._escaped()
            case "'":
                close = self._text.find("'", self._at + 1)
                piece = self._text[self._at + 1 : close if close > 0 else None]
                self._at = close + 1 if close > 0 else len(self._text)
                if close < 0:
                    self._doubt("a quote is not closed")
                return piece
            case '"':
                self._at += 1
                return self.quoted('"')
            case "`":
                return self._backquoted()
            case "$":
                return self._expansion(quoted=False)
            case _:
                self._at += 1
                return char

    def _escaped(self) -> str:
        if self._text.startswith(_LINE_CONTINUED, self._at):
            self._continued()
            return ""
        escaped = self._text[self._at + 1 : self._at + 2]
        self._at += 2
        if not escaped:
            self._doubt("a backslash at the end")
        return escaped

    def quoted(self, close: str) -> str:
        """Read text in double quotes up to `close`, or all of it; return it with holes."""
        pieces: list[str] = []
        while self._at < len(self._text):
            char = self._text[self._at]
            if char == close:
                self._at += 1
                return "".join(pieces)
            if char == "\\" and self._text[self._at + 1 : self._at + 2] in ("$", "`", '"', "\\", "\n"):
                pieces.append(self._escaped())
            elif char == "$":
                pieces.append(self._expansion(quoted=True))
            elif char == "`":
                pieces.append(self._backquoted())
            else:
                pieces.append(char)
                self._at += 1
        if close:
            self._doubt("a quote is not closed")
        return "".join(pieces)

    def _expansion(self, *, quoted: bool) -> str:
        """Read what begins with a dollar sign."""
        for simple in (_PARAMETER, _BRACED, _ARITHMETIC, *(() if quoted else (_ANSI_C,))):
            if found := simple.match(self._text, self._at):
                self._at = found.end()
                return HOLE
        following = self._text[self._at + 1 : self._at + 2]
        self._at += 1
        if following == "(":
            if self._text.startswith("((", self._at):
                self._doubt("arithmetic")
            self._at += 1
            self.read(")")
            return HOLE
        if following == '"' and not quoted:
            return ""
        if following in ("{", "[") or self._text.startswith(_LINE_CONTINUED, self._at):
            self._doubt("an expansion")
            return HOLE
        return HOLE if following and following in "=~^+" else "$"  # zsh: "$=X"

    def _backquoted(self) -> str:
        inner: list[str] = []
        self._at += 1
        while self._at < len(self._text) and self._text[self._at] != "`":
            if self._text[self._at] == "\\" and self._text[self._at + 1 : self._at + 2] in ("`", "\\", "$"):
                self._at += 1
            inner.append(self._text[self._at : self._at + 1])
            self._at += 1
        if self._at >= len(self._text):
            self._doubt("a backquote is not closed")
        self._at += 1
        _Reader("".join(inner), self._line, self._depth).read("")
        return HOLE

    def _doubt(self, what: str) -> None:
        self._line.doubts.append(what)
