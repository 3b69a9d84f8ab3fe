"""The page about policy files: verdicts, conditions and terms, from the models that check them."""

import ast
import inspect
from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from aura_contracts.approval import ApprovalKind, PolicyVerdict
from aura_engine.policy import vocabulary
from aura_engine.policy.conditions import KINDS_WITH
from aura_engine.policy.rulebook import UNANSWERABLE
from generator.docstrings import inline
from generator.markdown import NOTE, page, table
from generator.source import attribute_docs, first_line
from generator.values import members

_TAKES: Mapping[str, str] = {
    "Word": "text",
    "Words": "a text or a list; `*` is any text",
    "Kinds": "a kind or a list",
    "Priorities": "`low`, `medium`, `high`, or a list",
    "Globs": "a pattern or a list; `*` is any text, slashes included",
    "Tools": "a [rule](../how-to/permissions.md) or a list",
    "Commands": "a pattern or a list, as in `Bash(...)`",
    "Days": "a day or a list",
    "Duration": "`90s`, `30m`, `8h`, `2d`",
    "Clock": "a time of day",
    "Zone": "a time zone",
    "bool": "`true` or `false`",
    **dict.fromkeys(("Numbers", "Shares"), "`{at_least: ..., at_most: ...}`"),
    **{name: f"[{name.lower()}](#{name.lower()})" for name in ("Paths", "Labels", "Hours", "Record", "Then", "When")},
}
"""What a key takes, by its type."""

_CONDITIONS = (vocabulary.Paths, vocabulary.Labels, vocabulary.Hours, vocabulary.Record)
"""Models of conditions that have a section of their own."""

_PEOPLE = ("reviewers", "escalate_to")


def policy_page() -> str:
    """Return the page about policy files."""
    unanswerable = " and ".join(f"`{kind}`" for kind in sorted(UNANSWERABLE))
    return page(
        "# Policy files",
        NOTE,
        "A policy file is YAML 1.2: `policies.yaml` in AURA's folder applies to every task, `.aura/policies.yaml` in"
        " the checkout of a repository to the tasks that work on it. Tags, anchors, aliases, duplicate and unknown keys"
        " are faults. To write one, see [the guide](../how-to/policies.md).",
        "## Verdicts",
        members(PolicyVerdict, inline),
        "The strongest verdict of the rules that match counts, in whatever order they stand; if none matches, a human"
        " is asked. A rule whose match depends on something unknown has a human asked; if it says `never`, it matches."
        f" Yes and no do not answer questions of kind {unanswerable}: rules that approve or reject do not match them.",
        "## File",
        _table(vocabulary.PolicyEntry),
        "## Rules",
        _table(vocabulary.RuleEntry),
        "## When",
        _table(vocabulary.When, about=True),
        "Rules that approve look at tool calls narrowly, all others widely, like the rules of a run that allow and"
        " deny.",
        *(block for kind in _CONDITIONS for block in _section(kind)),
        "## Then",
        "Of several rules that ask, all people, the largest quorum and the shortest times count, and silence means no"
        " if one of them says so. With `never`, silence always means no.",
        _table(vocabulary.Then),
        "### Levels",
        inline(first_line(vocabulary.LevelEntry)),
        _table(vocabulary.LevelEntry),
    )


def _section(kind: type[BaseModel]) -> Iterator[str]:
    yield f"### {kind.__name__}"
    yield inline(first_line(kind))
    yield _table(kind)


def _table(kind: type[BaseModel], *, about: bool = False) -> str:
    docs, types = attribute_docs(kind), _types(kind)
    rows = []
    for name, field in kind.model_fields.items():
        cells = [f"`{field.alias or name}`", _takes(name, types[name]), inline(docs[name])]
        if about:
            cells.append(", ".join(f"`{one}`" for one in ApprovalKind if one in KINDS_WITH.get(name, ())) or "all")
        rows.append(cells)
    return table(("key", "takes", "meaning", *(["kinds of question"] if about else [])), rows)


def _takes(name: str, type_name: str) -> str:
    if name == "levels":
        return "a list of [levels](#levels)"
    return "a name or a list" if name in _PEOPLE else _TAKES.get(type_name, type_name)


def _types(kind: type[BaseModel]) -> dict[str, str]:
    """Return the name of each field's type, as the source has it."""
    tree = ast.parse(inspect.getsource(kind))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef))
    return {
        node.target.id: _name(ast.unparse(node.annotation))
        for node in body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def _name(annotation: str) -> str:
    first = annotation.partition(" | ")[0].removeprefix("Annotated[").partition(",")[0]
    return {"int": "number", "float": "number", "OnExpiry": "`deny` or `continue`"}.get(
        first, "list" if first.startswith("list[") else first
    )
