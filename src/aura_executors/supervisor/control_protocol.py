"""The protocol between worker and supervisor on the control socket.

A frame is a head (`HEAD`: length of the body, kind) and a body; numbers are little-endian. The worker asks, the
supervisor answers; output itself goes through the spool, and the socket only announces it. A connection is
also the sign that the worker is alive: the last one that closes starts the dead man's clock.

    ACKNOWLEDGE  last                records up to this number may be deleted           no answer
    WANT         last                announce the first record after this number       OUTPUT or EXIT
    WRITE        id, key, bytes      write to standard input, once for each key         DONE or GONE
    CLOSE_INPUT  id                  close standard input                               DONE or GONE
    INTERRUPT    id, time, reason    begin to end the process, or go to the next step   DONE
    EXPECT_EXIT  id, time            end it, unless it exits before that       DONE
    PAUSE_LIMITS id, 1 or 0          it waits for a human, and its time does not count  DONE
    HELLO        JSON                first frame of the supervisor: who runs
    OUTPUT       last                the number of the last record
    DONE, GONE   id                  it was done; standard input is closed
    EXIT         JSON                the exit record; last frame of the supervisor

A key is its length in one byte, followed by its bytes; an empty key means no key. A time is in milliseconds from now.

Standard library only: the supervisor loads this module.
"""

from struct import Struct

HEAD = Struct("<IB")
NUMBER = Struct("<Q")

ACKNOWLEDGE = 1
WANT = 2
WRITE = 3
CLOSE_INPUT = 4
INTERRUPT = 5
EXPECT_EXIT = 6
PAUSE_LIMITS = 7
HELLO = 64
OUTPUT = 65
DONE = 66
GONE = 67
EXIT = 68

BODY_LIMIT = 128 * 1024
PIECE = 64 * 1024
"""Bytes of input in one `WRITE`. The next one is sent once it was taken, so neither side has to buffer more."""


def frame(kind: int, body: bytes = b"") -> bytes:
    """Return a frame."""
    return HEAD.pack(len(body), kind) + body


def numbered(kind: int, number: int, rest: bytes = b"") -> bytes:
    """Return a frame whose body begins with a number."""
    return HEAD.pack(NUMBER.size + len(rest), kind) + NUMBER.pack(number) + rest


class Frames:
    """Cuts a stream of bytes into frames.

    >>> frames = Frames()
    >>> frames.feed(frame(HELLO, b"{}")[:6])
    []
    >>> frames.feed(b"}")
    [(64, b'{}')]
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Return the frames that are complete now. Raises `ValueError` for one that is too long."""
        buffer = self._rest + data
        frames, at = [], 0
        while at + HEAD.size <= len(buffer):
            length, kind = HEAD.unpack_from(buffer, at)
            if length > BODY_LIMIT:
                raise ValueError(f"a frame of {length} bytes")
            end = at + HEAD.size + length
            if end > len(buffer):
                break
            frames.append((kind, buffer[at + HEAD.size : end]))
            at = end
        self._rest = buffer[at:]
        return frames


def split_number(body: bytes) -> tuple[int, bytes]:
    """Return the number that a body begins with, and the rest. Raises `ValueError` for a body too short."""
    if len(body) < NUMBER.size:
        raise ValueError(f"a body of {len(body)} bytes")
    number: int = NUMBER.unpack_from(body)[0]
    return number, body[NUMBER.size :]


def keyed(key: bytes, data: bytes) -> bytes:
    """Return `data` behind its key.

    >>> split_key(keyed(b"7", b"data"))
    (b'7', b'data')
    """
    return bytes((len(key),)) + key + data


def split_key(body: bytes) -> tuple[bytes, bytes]:
    """Return the key that a body begins with, and the rest. Raises `ValueError` for a body too short."""
    if not body or len(body) < 1 + body[0]:
        raise ValueError(f"a body of {len(body)} bytes")
    return body[1 : 1 + body[0]], body[1 + body[0] :]
