"""Expressions and templates of workflows in the sandbox. Used by `expressions` and `reads` alone; imports Jinja.

`aura_engine._sandbox` has the rules. A sandbox is used for one evaluation at a time and again for the next one: its
counters start from zero, and what it has compiled stays.
"""

from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from enum import Enum
from functools import partial
from math import isfinite
from types import TracebackType
from typing import Any

import attrs
from jinja2 import Template, Undefined, UndefinedError, nodes
from jinja2.exceptions import TemplateNotFound, TemplateRuntimeError, TemplateSyntaxError
from jinja2.loaders import FunctionLoader
from jinja2.parser import Parser

from aura_contracts.plain_data import DEPTH_LIMIT
from aura_contracts.quoting import is_unicode
from aura_engine._sandbox import PLAIN, JinjaSandbox, Strict
from aura_engine._template_filters import LimitReached
from aura_engine.orchestration.lazy_tables import AbsentValue, Lazy

VALUE_LIMIT = 1_048_576
"""Maximum size of a value, and bytes of a rendered text: 1 MiB."""

_COMPILED_LIMIT = 500
"""Texts that a sandbox keeps compiled."""

_RESULT = "_result"
"""The variable to which an expression is assigned."""

_PART = 8
"""What a number, an element or a key counts, besides its characters."""


_LISTS = (list, tuple, range, Iterator, KeysView, ValuesView, ItemsView)
"""What becomes a list."""


class Form(Enum):
    """What a text is."""

    EXPRESSION = "expression"
    TEMPLATE = "template"
    MIXED = "mixed"
    """A template, whose value is that of its placeholder if it consists of one alone."""


class NoOutput(UndefinedError):
    """An output that is absent was used."""

    def __init__(self, absent: AbsentValue) -> None:
        super().__init__(f"step {absent.source} is {absent.status}, so it has no output")
        self.absent = absent


class _NoOutput(Strict):
    """Stands for an absent output, and for all parts of it."""

    __slots__ = ()


@attrs.frozen
class _Compiled:
    template: Template
    is_value: bool
    """Whether it is an expression."""


class ExpressionSandbox(JinjaSandbox):
    """Evaluates expressions and templates, one at a time."""

    def __init__(self) -> None:
        super().__init__(VALUE_LIMIT, loader=FunctionLoader(lambda _: None))
        self._known: dict[tuple[str, Form], _Compiled] = {}
        self._room = 0

    def result(self, text: str, form: Form, variables: Any) -> Any:
        """Return the value of an expression, or the text of a template, for a mapping of variables.

        Raises whatever goes wrong in it.
        """
        self.start()
        self._room = VALUE_LIMIT
        compiled = self._known.get((text, form)) or self._made(text, form)
        context = compiled.template.new_context(variables)
        pieces = compiled.template.root_render_func(context)
        if not compiled.is_value:
            return self._joined(pieces)
        for _ in pieces:
            pass
        return self._plain(context.vars[_RESULT], 0)

    def parsed(self, text: str, form: Form) -> nodes.Template:
        """Return the tree of a text, which counts nothing. Raises TemplateSyntaxError."""
        if form is not Form.EXPRESSION:
            tree = Parser(self, text).parse()
            match tree.body:
                case [nodes.Output(nodes=[only])] if form is Form.MIXED and not isinstance(only, nodes.TemplateData):
                    return _assigned(only)
                case _:
                    return tree
        parser = Parser(self, text, state="variable")
        expression = parser.parse_expression()
        if not parser.stream.eos:
            token = parser.stream.current
            raise TemplateSyntaxError(f"it ends before {token.value!r}", token.lineno)
        return _assigned(expression)

    def _made(self, text: str, form: Form) -> _Compiled:
        tree = self.parsed(text, form)
        tree.set_environment(self)
        self.insert_counters(tree)
        code = self.compile(tree)
        template = Template.from_code(self, code, self.make_globals(None))
        compiled = _Compiled(template, isinstance(tree.body[0], nodes.Assign) if len(tree.body) == 1 else False)
        while len(self._known) >= _COMPILED_LIMIT:
            del self._known[next(iter(self._known))]
        self._known[text, form] = compiled
        return compiled

    # --- Parts of values

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Look up a part of a lazy table too."""
        if isinstance(obj, Lazy):
            return self._part(obj, attribute)
        return obj if isinstance(obj, _NoOutput) else super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Look up a part of a lazy table too."""
        if isinstance(obj, Lazy):
            return self._part(obj, argument)
        return obj if isinstance(obj, _NoOutput) else super().getitem(obj, argument)

    def _part(self, table: Lazy, name: Any) -> Any:
        try:
            part = table.part(str(name))
        except KeyError:
            return self.undefined(obj=table, name=name)
        if isinstance(part, AbsentValue):
            raising: Any = partial(_no_output, part)
            return _NoOutput(obj=table, name=name, exc=raising)
        return part

    def is_safe_attribute(self, obj: object, attr: str, value: object) -> bool:
        """Leave only Jinja's own objects their attributes, besides plain data."""
        own = isinstance(obj, PLAIN) or type(obj).__module__.startswith("jinja2.")
        return own and super().is_safe_attribute(obj, attr, value)

    # --- Results

    def _joined(self, pieces: Iterator[str]) -> str:
        made: list[str] = []
        size = 0
        for piece in pieces:
            size += len(piece.encode("utf-8", "surrogatepass"))
            if size > VALUE_LIMIT:
                raise LimitReached(f"the text takes more than {VALUE_LIMIT} bytes")
            made.append(piece)
        return self._storable("".join(made))

    def _plain(self, value: Any, depth: int) -> Any:
        """Return a value rebuilt from the types of JSON, as a log keeps it. It shares nothing with its variables."""
        self._take(_PART)
        if value is None or isinstance(value, bool | str | int | float):
            return self._scalar(value)
        if isinstance(value, Undefined):
            return str(value)  # which raises
        if depth >= DEPTH_LIMIT:
            raise LimitReached(f"a value is nested more than {DEPTH_LIMIT} deep")
        if isinstance(value, dict):
            return {self._name(name): self._plain(part, depth + 1) for name, part in value.items()}
        if isinstance(value, _LISTS):
            return [self._plain(part, depth + 1) for part in value]
        if isinstance(value, Lazy):
            raise TemplateRuntimeError(f"this is not a value; name a part of it: {', '.join(value.names()[:10])}")
        raise TemplateRuntimeError(f"{type(value).__name__} is not a value; call it, or name a part of it")

    def _scalar(self, value: Any) -> Any:
        match value:
            case str():
                self._take(len(value))
                return self._storable(value)
            case int() if not -(2**63) <= value < 2**63:
                raise LimitReached("a number does not fit into 64 bits")
            case float() if not isfinite(value):
                raise TemplateRuntimeError(f"{value} is not a number of JSON")
            case _:
                return value

    def _name(self, name: object) -> str:
        if not isinstance(name, str):
            raise TemplateRuntimeError(f"a key has to be a text, not {name!r}")
        self._take(len(name))
        return self._storable(name)

    def _take(self, size: int) -> None:
        self._room -= size
        if self._room < 0:
            raise LimitReached(f"the value takes more than {VALUE_LIMIT} bytes")

    def _storable(self, text: str) -> str:
        if "\0" in text or not is_unicode(text):
            raise TemplateRuntimeError("a text holds NUL or half of a surrogate pair, which no log can keep")
        return str.__str__(text)


def line_of(error: BaseException) -> int:
    """Return the line of a text at which its evaluation failed."""
    line = 1
    traceback: TracebackType | None = error.__traceback__
    while traceback is not None:
        template = traceback.tb_frame.f_globals.get("__jinja_template__")
        if template is not None:
            line = template.get_corresponding_lineno(traceback.tb_lineno)
        traceback = traceback.tb_next
    return line


def reason_of(error: Exception) -> str:
    """Return what went wrong in a text, for people."""
    match error:
        case TemplateNotFound():
            return "a template of a workflow can include no other"
        case RecursionError() | MemoryError():
            return "it is nested too deep, or calls itself without end"
        case TemplateSyntaxError() | TemplateRuntimeError():
            return error.message or type(error).__name__
        case _:
            return f"{type(error).__name__}: {error}"


def _assigned(expression: nodes.Expr) -> nodes.Template:
    target = nodes.Name(_RESULT, "store", lineno=1)
    return nodes.Template([nodes.Assign(target, expression, lineno=1)], lineno=1)


def _no_output(absent: AbsentValue, message: str | None = None) -> NoOutput:
    return NoOutput(absent)
