"""Reads: what expressions and templates of workflows read, found without evaluating them. Pure; imports Jinja."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs
from jinja2 import meta, nodes
from jinja2.exceptions import TemplateSyntaxError

from aura_contracts.errors import ExpressionError
from aura_engine.orchestration._expression_sandbox import ExpressionSandbox, Form, reason_of
from aura_engine.orchestration.expressions import require_size


@attrs.frozen
class Read:
    """A part of a variable that a text reads: ``steps.plan.output.files[0]``."""

    path: tuple[str | int, ...]
    line: int
    guarded: bool
    """Whether it may be missing: it has the filter ``default``, or is only tested for being defined."""
    ends: bool
    """Whether the path continues with what only evaluation finds: ``steps[item]`` ends after ``steps``."""


@attrs.frozen
class Reads:
    """All that a text reads from outside."""

    all: Sequence[Read]

    @property
    def names(self) -> Mapping[str, int]:
        """Variable -> the line that reads it first."""
        return self._first(lambda read: read.path[0])

    @property
    def inputs(self) -> Mapping[str, int]:
        """Input -> the line that reads it first."""
        return self._first(lambda read: read.path[1] if read.path[0] == "inputs" and len(read.path) > 1 else None)

    @property
    def steps(self) -> Mapping[str, int]:
        """Id of a step -> the line that reads any part of it first."""
        return self._first(lambda read: read.path[1] if read.path[0] == "steps" and len(read.path) > 1 else None)

    @property
    def outputs(self) -> Mapping[str, int]:
        """Id of a step -> the line that first reads its output as if it had to be there.

        Not so where the text has the filter ``default`` for it, or tests the status of this step anywhere.
        """
        tested = {
            read.path[1] for read in self.all if _reads(read, "status") or (_reads(read, "output") and read.guarded)
        }
        return {
            str(name): line
            for name, line in self._first(lambda read: read.path[1] if _reads(read, "output") else None).items()
            if name not in tested
        }

    @property
    def dynamic(self) -> int | None:
        """The first line that reads a step whose id only evaluation finds."""
        return next((read.line for read in self.all if read.path == ("steps",) and read.ends), None)

    def _first(self, key: Callable[[Read], str | int | None]) -> Mapping[str, int]:
        found: dict[str, int] = {}
        for read in self.all:
            name = key(read)
            if isinstance(name, str):
                found[name] = min(read.line, found.get(name, read.line))
        return found


def names_read(text: str, *, template: bool = False, field: str = "expression", step: str = "") -> Reads:
    """Return what an expression, or a `template`, reads from outside. Raises `ExpressionError` if it is not one."""
    form = Form.TEMPLATE if template else Form.EXPRESSION
    require_size(text, form.value, field, step)
    try:
        sandbox = ExpressionSandbox()
        tree = sandbox.parsed(text, form)
        tree.set_environment(sandbox)
        sandbox.compile(sandbox.parsed(text, form))  # which finds unknown filters and tests
        outside = meta.find_undeclared_variables(tree) - sandbox.globals.keys()
        reads = [read for read in _found(tree, guarded=False) if read.path[0] in outside]
    except (TemplateSyntaxError, RecursionError, MemoryError, SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        raise ExpressionError(field=field, step=step, line=line, reason=reason_of(error)) from error
    return Reads(sorted(reads, key=lambda read: read.line))


def _reads(read: Read, part: str) -> bool:
    return len(read.path) > 2 and read.path[0] == "steps" and read.path[2] == part


def _found(node: nodes.Node, *, guarded: bool) -> Iterator[Read]:
    match node:
        case nodes.Name(ctx="load") | nodes.Getattr() | nodes.Getitem():
            yield from _chain(node, guarded=guarded)
        case nodes.Call(node=nodes.Getattr() as method):  # the method of a value is not a part of it
            yield from _found(method.node, guarded=guarded)
            for child in (*node.args, *node.kwargs):
                yield from _found(child, guarded=False)
        case nodes.Filter(name="default" | "d", node=nodes.Node() as value):
            yield from _found(value, guarded=True)
            for child in (*node.args, *node.kwargs):
                yield from _found(child, guarded=False)
        case nodes.Test(name="defined" | "undefined"):
            yield from _found(node.node, guarded=True)
        case _:
            for child in node.iter_child_nodes():
                yield from _found(child, guarded=guarded and isinstance(node, nodes.Filter))


def _chain(node: nodes.Node, *, guarded: bool) -> Iterator[Read]:
    """Yield the read of names and constant indexes one after another, and what is read within other indexes."""
    path: list[str | int] = []
    ends = False
    line = node.lineno
    while True:
        match node:
            case nodes.Getattr():
                path.append(node.attr)
            case nodes.Getitem(arg=nodes.Const(value=str() | int() as value)):
                path.append(value)
            case nodes.Getitem():
                path.clear()
                ends = True
                yield from _found(node.arg, guarded=False)
            case nodes.Name(ctx="load"):
                yield Read((node.name, *reversed(path)), line, guarded, ends)
                return
            case _:
                yield from _found(node, guarded=guarded)
                return
        node = node.node
