"""The rules of AURA's Jinja sandbox, for all that is rendered or evaluated in it. Imports Jinja.

Jinja's own sandbox keeps templates away from Python's internals and from changing their variables, but it does not
limit their cost. This one also counts loops, calls, includes and all output, even into a ``{% set %}`` block, and the
size of what is compared, searched and copied. It bounds or removes operators, filters (`aura_engine._template_filters`)
and methods that make large values from small ones, and it removes what differs between two evaluations (``random``,
``lipsum``).
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from jinja2 import StrictUndefined, Undefined, UndefinedError, nodes
from jinja2.exceptions import SecurityError, TemplateAssertionError, TemplateRuntimeError
from jinja2.runtime import Context
from jinja2.utils import missing
from jinja2.visitor import NodeTransformer

from aura_engine._compiled_templates import CompiledTemplates
from aura_engine._template_filters import (
    ARGUMENT_LIMIT,
    COPIED,
    BoundedEnvironment,
    LimitReached,
    is_scalar,
    put_out,
)

NUMBER_LIMIT = 10_000
"""Maximum bits of the result of a multiplication or a power."""

_TEXT_METHODS = """
    capitalize casefold count endswith find index isalnum isalpha isdecimal isdigit islower isnumeric isspace istitle
    isupper lower lstrip partition removeprefix removesuffix rfind rindex rpartition rsplit rstrip split splitlines
    startswith strip swapcase title upper
"""

_METHODS: Mapping[type, frozenset[str]] = {
    str: frozenset(_TEXT_METHODS.split()),
    dict: frozenset({"get", "items", "keys", "values"}),
    list: frozenset({"count", "index"}),
    tuple: frozenset({"count", "index"}),
    int: frozenset(),
    bool: frozenset(),
    float: frozenset(),
}

PLAIN = tuple(_METHODS)
"""The types of plain data."""

_SLOW_METHODS = frozenset(["lstrip", "rfind", "rindex", "rpartition", "rsplit", "rstrip", "strip"])
"""Methods of texts whose cost is the product of both lengths."""

_COMPILED = CompiledTemplates()


class Missing(UndefinedError):
    """The template uses a missing `name`: a variable, or an attribute of `owner`."""

    def __init__(self, message: str | None = None, *, name: str | None = None, owner: object = None) -> None:
        super().__init__(message)
        self.missing = name
        self.owner = owner


class Strict(StrictUndefined):
    """Raises whenever it is used. Jinja's own can be printed within a list, by its `repr`."""

    __slots__ = ()

    def __init__(
        self, hint: str | None = None, obj: object = missing, name: Any = None, exc: type[Exception] = UndefinedError
    ) -> None:
        kind: Any = partial(Missing, name=name, owner=obj) if exc is UndefinedError and hint is None else exc
        super().__init__(hint, obj, name, kind)

    __repr__ = Undefined._fail_with_undefined_error  # noqa: SLF001 - as its `__str__` is


class _CounterInsertion(NodeTransformer):
    """Inserts counters into a template."""

    def __init__(self, environment: "JinjaSandbox") -> None:
        self._environment = environment

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802 - Jinja's name
        if node.recursive:
            raise TemplateAssertionError("recursive loops are not supported", node.lineno)
        self.generic_visit(node)
        node.iter = self._through("_counted", node.iter)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        return self._through("join", nodes.List(node.nodes, lineno=node.lineno))

    def visit_Compare(self, node: nodes.Compare) -> nodes.Expr:  # noqa: N802 - Jinja's name
        """Charge for what is compared; a search becomes Jinja's test of that name, which sees both sides."""
        self.generic_visit(node)
        first = node.ops[0]
        if len(node.ops) == 1 and first.op in {"in", "notin"}:
            made = nodes.Test(node.expr, "in", [first.expr], [], None, None, lineno=node.lineno)
            made.set_environment(self._environment)
            return made if first.op == "in" else nodes.Not(made, lineno=node.lineno)
        node.expr = self._through("_compared", node.expr)
        for operand in node.ops:
            operand.expr = self._through("_compared", operand.expr)
        return node

    def visit_Pair(self, node: nodes.Pair) -> nodes.Pair:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        if not isinstance(node.key, nodes.Const):
            node.key = self._through("_key", node.key)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Getitem:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            node.node = self._through("_copied", node.node)
        return node

    def visit_TemplateData(self, node: nodes.TemplateData) -> nodes.Const:  # noqa: N802 - Jinja's name
        """Turn text into constants, which pass through `_put_out`."""
        made = nodes.Const(node.data, lineno=node.lineno)
        made.set_environment(self._environment)
        return made

    def _through(self, name: str, node: Any) -> nodes.Filter:
        made = nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)
        made.set_environment(self._environment)
        return made


class JinjaSandbox(BoundedEnvironment):
    """An environment under these rules. Its counters are those of one evaluation."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, limit: int, **options: Any) -> None:
        super().__init__(
            autoescape=False,
            bytecode_cache=_COMPILED,
            finalize=put_out,
            keep_trailing_newline=True,
            optimized=False,  # constants must be counted too
            undefined=Strict,
            **options,
        )
        self.limit = limit
        for name in ("lipsum", "dict"):
            del self.globals[name]

    # --- Hooks of Jinja

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        parsed = super()._parse(source, name, filename)
        self.insert_counters(parsed)
        return parsed

    def insert_counters(self, parsed: nodes.Node) -> None:
        """Make what was parsed count its work."""
        _CounterInsertion(self).visit(parsed)

    def is_safe_attribute(self, obj: object, attr: str, value: object) -> bool:
        for kind, methods in _METHODS.items():
            if isinstance(obj, kind):
                return attr in methods
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: object) -> None:
        """Refuse `str.format` like other unlisted methods: it does not bound widths."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Look up the keys of a table first: ``task.items`` may be one."""
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        if isinstance(obj, dict) and attribute not in _METHODS[dict]:
            return self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Look up a part by a plain key: to hash others may take forever."""
        if not is_scalar(argument) and not isinstance(argument, Undefined):
            raise TemplateRuntimeError(f"a {type(argument).__name__} cannot be a key")
        return super().getitem(obj, argument)

    def call(self, context: Context, called: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Count calls: a macro may call itself, and a method of a text reads all of it."""
        self.step()
        owner = getattr(called, "__self__", None)
        if isinstance(owner, PLAIN):
            for argument in args if isinstance(owner, dict) else (owner, *args):
                self.compare(argument)
            if called.__name__ in _SLOW_METHODS and len(str(args[0] if args else "")) > ARGUMENT_LIMIT:
                raise LimitReached(f"{called.__name__} looks for at most {ARGUMENT_LIMIT} characters")
        result = super().call(context, called, *args, **kwargs)
        if isinstance(result, list | range):
            self.copy(result)
        return result

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Bound the operators that make large values from small ones."""
        sequences: list[Any] = [side for side in (left, right) if isinstance(side, str | list | tuple)]
        numbers = isinstance(left, int) and isinstance(right, int)
        if operator == "%" and isinstance(left, str):
            raise SecurityError("formatting with % is not supported; join text with ~")
        if operator == "+" and len(sequences) == 2:
            self.require(sum(map(len, sequences)))
            self.copy(left)
            self.copy(right)
        elif operator == "*" and sequences:
            count = right if sequences[0] is left else left
            size = len(sequences[0]) * count if isinstance(count, int) else 0
            self.require(size)
            self.step(max(size, 0) >> COPIED)
        elif numbers and operator == "*":
            self._require_bits(left.bit_length() + right.bit_length())
        elif numbers and operator == "**" and right > 0:
            self._require_bits(left.bit_length() * right)
        return super().call_binop(context, operator, left, right)

    def _require_bits(self, bits: int) -> None:
        if bits > NUMBER_LIMIT:
            raise LimitReached(f"a number takes more than {NUMBER_LIMIT} bits")


# --- Names ------------------------------------------------------------------------------------------------------------


def written_name(tree: nodes.Template, line: int, name: str, *, whole: bool) -> tuple[str, int]:
    """Return the full name of a missing part, ``task.nope`` for ``nope``, and its line.

    Jinja knows only the last part, and the line where the expression begins. `whole`: the name is a variable."""
    kinds: Any = nodes.Name if whole else (nodes.Getattr, nodes.Getitem)
    found = [
        (node.lineno, said)
        for node in tree.find_all(kinds)
        if (said := written(node)) and (said == name or said.endswith((f".{name}", f"[{name}]")))
    ]
    at, said = min(((lineno, said) for lineno, said in found if lineno >= line), default=(line, name))
    return said, at


def written(node: nodes.Node) -> str:
    """Return the source of an expression made of names, attributes and constant indexes, else an empty string."""
    match node:
        case nodes.Name():
            return str(node.name)
        case nodes.Getattr():
            before = written(node.node)
            return f"{before}.{node.attr}" if before else ""
        case nodes.Getitem(arg=nodes.Const(value=value)):
            before = written(node.node)
            after = f".{value}" if isinstance(value, str) else f"[{value}]"
            return before + after if before else ""
    return ""
