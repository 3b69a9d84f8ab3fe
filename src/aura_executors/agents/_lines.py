"""Lines: cuts a stream of bytes into lines, in bounded memory."""

LINE_LIMIT = 16 * 1024 * 1024
"""Bytes of a line. Agents write whole files in one line; what is longer is no message of theirs."""


class Lines:
    r"""Cuts bytes, in whatever pieces they come, into lines. Lines that are too long are left out and counted.

    >>> lines = Lines()
    >>> lines.feed(b'{"a":'), lines.feed(b'1}\n\n{"b"')
    ([], [b'{"a":1}', b''])
    >>> lines.rest()
    [b'{"b"']
    """

    def __init__(self, limit: int = LINE_LIMIT) -> None:
        self.overlong = 0
        """How many lines were left out."""
        self._limit = limit
        self._begun = bytearray()
        """The line that was begun; one array, however small the pieces in which it comes."""
        self._skipping = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that are complete now, without their ends."""
        lines = data.split(b"\n")
        last = lines.pop()
        if lines and (self._begun or self._skipping):
            self._keep(lines[0])
            first = self.rest()
            lines[:1] = first
        if len(data) > self._limit:
            lines = self._short(lines)
        if last:
            self._keep(last)
        return lines

    def rest(self) -> list[bytes]:
        """Return the line that was begun, if any; a next one begins."""
        line = [bytes(self._begun)] if self._begun else []
        self._begun = bytearray()
        self._skipping = False
        return line

    def _keep(self, piece: bytes) -> None:
        if self._skipping:
            return
        if len(self._begun) + len(piece) > self._limit:
            self._skipping = True
            self.overlong += 1
            self._begun = bytearray()
        else:
            self._begun += piece

    def _short(self, lines: list[bytes]) -> list[bytes]:
        short = [line for line in lines if len(line) <= self._limit]
        self.overlong += len(lines) - len(short)
        return short
