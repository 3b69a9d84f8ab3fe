"""Line splitter: splits a stream of bytes into lines, in bounded memory."""

LINE_LIMIT = 16 * 1024 * 1024
"""Maximum bytes of a line. Agents write whole files in one line; anything longer is not a message."""

TOO_LONG = b"a line that is too long"
"""Replaces a longer line. Not JSON, so that no adapter understands it."""


class Lines:
    r"""Splits bytes that arrive in pieces of any size into lines. Lines that are too long become `TOO_LONG`.

    >>> lines = Lines(limit=8)
    >>> lines.feed(b'{"a":'), lines.feed(b'1}\n\n{"b"'), lines.feed(b':"long"}\n[]')
    ([], [b'{"a":1}', b''], [b'a line that is too long'])
    >>> lines.rest()
    [b'[]']
    """

    def __init__(self, limit: int = LINE_LIMIT) -> None:
        self._limit = limit
        self._begun = bytearray()
        """The unfinished line: one array, however small its pieces are."""
        self._skipping = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that are now complete, without their line ends."""
        lines = data.split(b"\n")
        last = lines.pop()
        first = []
        if lines and (self._begun or self._skipping):
            self._keep(lines.pop(0))
            first = self.rest()
        if len(data) > self._limit:
            lines = [line if len(line) <= self._limit else TOO_LONG for line in lines]
        if last:
            self._keep(last)
        return first + lines if first else lines

    def rest(self) -> list[bytes]:
        """Return the unfinished line, if any, and start a new one."""
        line = TOO_LONG if self._skipping else bytes(self._begun)
        self._begun, self._skipping = bytearray(), False
        return [line] if line else []

    def _keep(self, piece: bytes) -> None:
        if self._skipping:
            return
        if len(self._begun) + len(piece) > self._limit:
            self._begun, self._skipping = bytearray(), True
        else:
            self._begun += piece
