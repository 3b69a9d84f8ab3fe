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
        self._pieces: list[bytes] = []
        self._size = 0
        self._skipping = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that are complete now, without their ends."""
        lines = data.split(b"\n")
        last = lines.pop()
        if lines and (self._pieces or self._skipping):
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
        line = [] if self._skipping else [b"".join(self._pieces)]
        begun = self._size > 0
        self._pieces.clear()
        self._size, self._skipping = 0, False
        return line if begun else []

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._skipping:
            return
        if self._size > self._limit:
            self._skipping = True
            self.overlong += 1
            self._pieces.clear()
        else:
            self._pieces.append(piece)

    def _short(self, lines: list[bytes]) -> list[bytes]:
        short = [line for line in lines if len(line) <= self._limit]
        self.overlong += len(lines) - len(short)
        return short
