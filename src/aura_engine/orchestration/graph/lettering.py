"""Lettering: the lines of text in a box of a drawing, and how much room they take."""

import msgspec

from aura_contracts.plain_data import Plain
from aura_contracts.quoting import cut_to_width, one_line, width_of
from aura_engine.orchestration.graph.captions import spaced
from aura_engine.orchestration.graph.nodes import GraphNode, NodeRole

TITLE_SIZE = 13
TEXT_SIZE = 11
"""Pixels of an em."""

TITLE_LINE = 18
TEXT_LINE = 15
"""Pixels from line to line."""

MARGIN = 10
"""Pixels between a box and its text."""

_TITLE_COLUMNS = 32
_TEXT_COLUMNS = 38
_FACTS = 3
_LEAST = 110

_NARROW, _WIDE, _WIDEST = frozenset("fijlrtI.,:;'|!()[]{}/\\ -`"), frozenset("mwMW@%—…"), 1.05
"""Widths are those of DejaVu Sans, in which common letters take more room than in other fonts of browsers."""


class Lettering(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """The text in a box."""

    title: str
    subtitle: str = ""
    """Type and status."""
    facts: tuple[str, ...] = ()
    width: int
    height: int
    """Pixels of a box for it; of the head of one that contains others."""


def lettering_of(node: GraphNode) -> Lettering:
    """Return the text in a node's box: at most a title, a line with type and status, and three facts."""
    label = f"undo: {node.label}" if node.role is NodeRole.COMPENSATION else node.label
    title = cut_to_width(one_line(label), _TITLE_COLUMNS)
    words = [spaced(word) for word in (node.type, node.status) if word is not None]
    if node.taken is not None:
        words.append("chosen" if node.taken else "not chosen")
    subtitle = " · ".join(words)
    facts = tuple(cut_to_width(one_line(fact), _TEXT_COLUMNS) for fact in node.facts[:_FACTS])
    widths = [text_width(title, TITLE_SIZE, bold=True), *(text_width(line, TEXT_SIZE) for line in (subtitle, *facts))]
    height = 2 * MARGIN + TITLE_LINE + TEXT_LINE * (bool(subtitle) + len(facts))
    width = max(*widths, _LEAST if node.type else 0) + 2 * MARGIN + 4
    return Lettering(title=title, subtitle=subtitle, facts=facts, width=width, height=height)


def text_width(text: str, size: int, *, bold: bool = False) -> int:
    """Return about how many pixels a text takes at a size, rather too many."""
    ems = sum(_ems(character) for character in text)
    return round(ems * size * (1.1 if bold else 1.0)) + 1


def _ems(character: str) -> float:
    if character in _NARROW:
        return 0.42
    if character in _WIDE or width_of(character) == 2:
        return _WIDEST
    return 0.0 if not width_of(character) else 0.72 if character.isupper() else 0.64
