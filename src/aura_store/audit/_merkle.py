"""Merkle tree over the digests of a log, built in one pass; its memory grows with the logarithm of the log.

Each node is the hash of up to 16 children; this fan-out costs a sixteenth of a hash per event, where a binary tree
costs a whole one. The size is part of the root and determines the shape, so no other log has the same root:

    node = SHA-256(01 ‖ child ‖ ... ‖ child)        up to 16 children of 32 bytes
    root = SHA-256(02 ‖ size ‖ top node)            size: 8 bytes, big-endian

The leaves are the digests of the events in position order. On each level 16 children at a time are grouped, and the
last group takes the remainder; a group of one is passed up unchanged.
"""

from hashlib import sha256

FAN_OUT = 16


def _node(children: list[bytes]) -> bytes:
    return sha256(b"\x01" + b"".join(children)).digest()


class MerkleTree:
    """Takes leaves in order; knows the root at any moment."""

    def __init__(self) -> None:
        self.size = 0
        self._levels: list[list[bytes]] = []
        """The nodes of each level that have no parent yet: fewer than `FAN_OUT`."""

    def extend(self, leaves: list[bytes]) -> None:
        """Add `leaves` (32 bytes each)."""
        self.size += len(leaves)
        level = 0
        while leaves:
            if level == len(self._levels):
                self._levels.append([])
            waiting = self._levels[level] + leaves
            whole = len(waiting) - len(waiting) % FAN_OUT
            leaves = [_node(waiting[at : at + FAN_OUT]) for at in range(0, whole, FAN_OUT)]
            self._levels[level] = waiting[whole:]
            level += 1

    def root(self) -> bytes:
        """Return the root over all leaves so far (32 bytes)."""
        top: list[bytes] = []
        for waiting in self._levels:
            children = waiting + top
            top = [_node(children)] if len(children) > 1 else children
        return sha256(b"\x02" + self.size.to_bytes(8, "big") + b"".join(top)).digest()
