"""The Merkle tree: the same root however the leaves come in, and another root for any other leaves."""

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from aura_store.audit._merkle import FAN_OUT, MerkleTree

leaves = st.lists(st.binary(min_size=32, max_size=32), max_size=3 * FAN_OUT)
sizes = st.sampled_from([0, 1, 2, 15, 16, 17, 255, 256, 257, 272, 4095, 4096, 4097])


def root_of(*portions: list[bytes]) -> bytes:
    tree = MerkleTree()
    for portion in portions:
        tree.extend(portion)
    return tree.root()


def root_by_definition(level: list[bytes]) -> bytes:
    """The definition in the module's docstring, level by level over all leaves at once."""
    size = len(level).to_bytes(8, "big")
    while len(level) > 1:
        groups = [level[at : at + FAN_OUT] for at in range(0, len(level), FAN_OUT)]
        level = [group[0] if len(group) == 1 else sha256(b"\x01" + b"".join(group)).digest() for group in groups]
    return sha256(b"\x02" + size + b"".join(level)).digest()


@given(size=sizes, step=st.integers(1, 5000))
def test_the_root_is_the_one_of_the_definition_whatever_the_portions(size: int, step: int) -> None:
    all_leaves = [sha256(n.to_bytes(4, "big")).digest() for n in range(size)]
    portions = [all_leaves[at : at + step] for at in range(0, size, step)]
    assert root_of(*portions) == root_by_definition(all_leaves)


@given(first=leaves, second=leaves)
def test_other_leaves_have_another_root(first: list[bytes], second: list[bytes]) -> None:
    assert (root_of(first) == root_of(second)) == (first == second)


@given(first=leaves)
def test_asking_for_the_root_changes_nothing(first: list[bytes]) -> None:
    tree = MerkleTree()
    tree.extend(first)
    assert tree.root() == tree.root()
    tree.extend([bytes(32)])
    assert tree.root() == root_of([*first, bytes(32)])
