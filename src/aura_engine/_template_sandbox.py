"""A Jinja sandbox: strict, repeatable and bounded. Used by `aura_engine.jinja_templates` alone; imports Jinja.

Jinja's own sandbox keeps templates away from Python's internals and from changing their variables, but it does not
limit their cost. This one also counts loops, calls, includes and all output, even into a ``{% set %}`` block; it bounds
or removes operators, filters (`aura_engine._template_filters`) and methods that make large values from small ones; and
it removes what differs between two renderings (``random``, ``lipsum``). The limits apply to one rendering: a
`TemplateSandbox` is used once.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from types import TracebackType
from typing import Any, Protocol

import attrs
from jinja2 import Environment, StrictUndefined, Undefined, UndefinedError, meta, nodes
from jinja2.exceptions import (
    SecurityError,
    TemplateAssertionError,
    TemplateNotFound,
    TemplateRuntimeError,
    TemplateSyntaxError,
)
from jinja2.loaders import FunctionLoader
from jinja2.runtime import Context
from jinja2.utils import missing
from jinja2.visitor import NodeTransformer

from aura_contracts.errors import MissingVariable, TemplateError
from aura_contracts.quoting import listed
from aura_engine._compiled_templates import CompiledTemplates
from aura_engine._template_filters import BoundedEnvironment, LimitReached, put_out

LISTED = 20
"""Maximum number of names that an error lists."""

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


_COMPILED = CompiledTemplates()

_ROOT = ""
"""The key of the template to render; others have a name and a layer."""

_MARK = "\0"
"""Separates the name from the layer in a key."""


class _Missing(UndefinedError):
    """The template uses a missing `name`: a variable, or an attribute of `owner`."""

    def __init__(self, message: str | None = None, *, name: str | None = None, owner: object = None) -> None:
        super().__init__(message)
        self.missing = name
        self.owner = owner


class _Strict(StrictUndefined):
    """Raises whenever it is used. Jinja's own can be printed within a list, by its `repr`."""

    __slots__ = ()

    def __init__(
        self, hint: str | None = None, obj: object = missing, name: Any = None, exc: type[Exception] = UndefinedError
    ) -> None:
        kind: Any = partial(_Missing, name=name, owner=obj) if exc is UndefinedError and hint is None else exc
        super().__init__(hint, obj, name, kind)

    __repr__ = Undefined._fail_with_undefined_error  # noqa: SLF001 - as its `__str__` is


class TemplateSource(Protocol):
    """A template as the sandbox sees it."""

    @property
    def name(self) -> str:
        """The name by which others include it."""
        ...

    @property
    def text(self) -> str:
        """The text with placeholders."""
        ...

    @property
    def label(self) -> str:
        """The name in error messages."""
        ...


class _CounterInsertion(NodeTransformer):
    """Inserts counters into a template."""

    def __init__(self, environment: "TemplateSandbox") -> None:
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

    def visit_TemplateData(self, node: nodes.TemplateData) -> nodes.Const:  # noqa: N802 - Jinja's name
        """Turn text into constants, which pass through `_put_out`."""
        made = nodes.Const(node.data, lineno=node.lineno)
        made.set_environment(self._environment)
        return made

    def _through(self, name: str, node: Any) -> nodes.Filter:
        made = nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)
        made.set_environment(self._environment)
        return made


@attrs.frozen
class UsedNames:
    """What a template takes from outside."""

    variables: Mapping[str, int]
    """Name -> the line that mentions it first."""
    dynamic: int | None
    """The line of an include whose name is not written out."""


_INCLUDES: Any = (nodes.Include, nodes.Extends, nodes.Import, nodes.FromImport)


@lru_cache(maxsize=256)
def included_names(text: str) -> frozenset[str]:
    """Return the names that a text includes and that are written out; none for a text that is not a template."""
    try:
        parsed = Environment(autoescape=False).parse(text)  # noqa: S701 - renders nothing
    except (TemplateSyntaxError, RecursionError):
        return frozenset()
    return frozenset(name for name in meta.find_referenced_templates(parsed) if name is not None)


@lru_cache(maxsize=256)
def required_parts(text: str) -> Sequence[tuple[int, Sequence[str]]]:
    """Return the lines of a text with an include that may not be missing, and the names of which one is enough."""
    try:
        parsed = Environment(autoescape=False).parse(text)  # noqa: S701 - renders nothing
    except (TemplateSyntaxError, RecursionError):
        return ()
    includes = [one for one in parsed.find_all(_INCLUDES) if not getattr(one, "ignore_missing", False)]
    return tuple((one.lineno, _names(one.template)) for one in sorted(includes, key=lambda one: one.lineno))


class TemplateSandbox(BoundedEnvironment):
    """Renders `template` once, or inspects it. `limit` is in bytes.

    `parts` are the templates that may be included: by name, the layers of the name, the narrowest scope first. Within
    one of them, the name stands for the layer behind it.
    """

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, template: TemplateSource, parts: Mapping[str, Sequence[TemplateSource]], limit: int) -> None:
        super().__init__(
            autoescape=False,
            bytecode_cache=_COMPILED,
            finalize=put_out,
            keep_trailing_newline=True,
            loader=FunctionLoader(self._load),
            optimized=False,  # constants must be counted too
            undefined=_Strict,
        )
        self._template = template
        self._layers = parts
        layers = list(parts.get(template.name, ()))
        self._layer = layers.index(template) if template in layers else -1
        """That of the template among the layers of its name; -1 if it stands before them."""
        self._labels: dict[str, TemplateSource] = {}
        self._variables: dict[str, object] = {}
        self.limit = limit
        for name in ("lipsum", "dict"):
            del self.globals[name]

    # --- Public methods

    def render(self, variables: dict[str, object]) -> str:
        """Return the prompt. Raises `TemplateError`."""
        self._variables = variables
        pieces: list[str] = []
        size = 0
        try:
            for piece in self.get_template(_ROOT).generate(variables):
                size += len(piece.encode("utf-8", "surrogatepass"))
                if size > self.limit:
                    raise LimitReached(f"the output takes more than {self.limit} bytes")  # noqa: TRY301
                pieces.append(piece)
        except Exception as error:  # whatever the expressions in it do
            raise self._told(error) from error
        return "".join(pieces)

    def inspect(self) -> UsedNames:
        """Return what the template takes from outside, without rendering it. Raises `TemplateError`."""
        try:
            self.get_template(_ROOT)
            tree = self.parse(self._template.text)
            outside = meta.find_undeclared_variables(tree) - self.globals.keys()
        except Exception as error:
            raise self._told(error) from error
        lines = {one.name: one.lineno for one in reversed(list(tree.find_all(nodes.Name))) if one.name in outside}
        dynamic = next((one.lineno for one in tree.find_all(_INCLUDES) if not _is_written_out(one.template)), None)
        return UsedNames(lines, dynamic)

    # --- Hooks of Jinja

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        parsed = super()._parse(source, name, filename)
        _CounterInsertion(self).visit(parsed)
        return parsed

    def join_path(self, template: str, parent: str) -> str:
        """Return the key of a template that another one includes: in one of the same name, that of the next layer."""
        name, place = (self._template.name, self._layer) if parent == _ROOT else _name_and_place(parent)
        return f"{template}{_MARK}{place + 1 if template == name else 0}"

    def _load(self, name: str) -> tuple[str, str, None] | None:
        if name == _ROOT:
            template = self._template
        else:
            wanted, place = _name_and_place(name)
            layers = self._layers.get(wanted, ())
            if place >= len(layers):
                return None
            template = layers[place]
        self._labels[template.label] = template
        return template.text, template.label, None

    def get_template(self, *args: Any, **kwargs: Any) -> Any:
        """Count includes: a template may include itself."""
        self.step()
        return super().get_template(*args, **kwargs)

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

    def call(self, context: Context, called: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Count calls: a macro may call itself."""
        self.step()
        return super().call(context, called, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Bound the operators that make large values from small ones."""
        sequences: list[Any] = [side for side in (left, right) if isinstance(side, str | list | tuple)]
        numbers = isinstance(left, int) and isinstance(right, int)
        if operator == "%" and isinstance(left, str):
            raise SecurityError("formatting with % is not supported; join text with ~")
        if operator == "+" and len(sequences) == 2:
            self.require(sum(map(len, sequences)))
        elif operator == "*" and sequences:
            count = right if sequences[0] is left else left
            self.require(len(sequences[0]) * count if isinstance(count, int) else 0)
        elif numbers and operator == "*":
            self._require_bits(left.bit_length() + right.bit_length())
        elif numbers and operator == "**" and right > 0:
            self._require_bits(left.bit_length() * right)
        return super().call_binop(context, operator, left, right)

    def _require_bits(self, bits: int) -> None:
        if bits > NUMBER_LIMIT:
            raise LimitReached(f"a number takes more than {NUMBER_LIMIT} bits")

    # --- Errors

    def _told(self, error: Exception) -> TemplateError:
        """Return the error with its template and line."""
        if isinstance(error, TemplateSyntaxError):
            label = error.filename or self._template.label
            return TemplateError(template=label, line=error.lineno, reason=error.message or "it is not a template")
        template, line = self._place(error.__traceback__)
        if isinstance(error, _Missing) and error.missing is not None:
            return self._missing(error, template, line)
        match error:
            case TemplateNotFound():
                reason = f"there is no template {_name_and_place(str(error.name))[0]!r} to include"
            case RecursionError():
                reason = "it includes or calls itself without end"
            case TemplateRuntimeError():
                reason = error.message or type(error).__name__
            case _:
                reason = f"{type(error).__name__}: {error}"
        return TemplateError(template=template.label, line=line, reason=reason)

    def _missing(self, error: _Missing, template: TemplateSource, line: int) -> MissingVariable:
        whole = error.owner is missing
        variable, line = self._named(template, line, str(error.missing), whole=whole)
        owner = self._variables if whole else error.owner
        if isinstance(owner, dict):
            reason = f"there are {listed(sorted(map(str, owner)), LISTED) or 'none'}"
        else:
            reason = "there is no such part"
        told = MissingVariable(template=template.label, line=line, reason=reason, variable=variable)
        if not whole:
            told.remedy = "correct the template, or use the filter default for what may be missing"
        return told

    def _place(self, traceback: TracebackType | None) -> tuple[TemplateSource, int]:
        """Return the innermost template in `traceback`, which Jinja has rewritten, and the line in it."""
        template, line = self._template, 1
        while traceback is not None:
            label = traceback.tb_frame.f_code.co_filename
            if label in self._labels:
                template, line = self._labels[label], traceback.tb_lineno
            traceback = traceback.tb_next
        return template, line

    def _named(self, template: TemplateSource, line: int, name: str, *, whole: bool) -> tuple[str, int]:
        """Return the full name of a missing part, ``task.nope`` for ``nope``, and its line.

        Jinja knows only the last part, and the line where the expression begins. `whole`: the name is a variable."""
        kinds: Any = nodes.Name if whole else (nodes.Getattr, nodes.Getitem)
        written = [
            (node.lineno, said)
            for node in self.parse(template.text).find_all(kinds)
            if (said := _written(node)) and (said == name or said.endswith((f".{name}", f"[{name}]")))
        ]
        at, said = min(((lineno, said) for lineno, said in written if lineno >= line), default=(line, name))
        return said, at


def _is_written_out(included: nodes.Node) -> bool:
    """Whether an include says which template it means, or which ones."""
    if isinstance(included, nodes.List | nodes.Tuple):
        return all(map(_is_written_out, included.items))
    return isinstance(included, nodes.Const)


def _names(included: nodes.Node) -> Sequence[str]:
    """Return the names that an include writes out."""
    if isinstance(included, nodes.List | nodes.Tuple):
        return tuple(name for one in included.items for name in _names(one))
    return (str(included.value),) if isinstance(included, nodes.Const) else ()


def _name_and_place(key: str) -> tuple[str, int]:
    """Return the name that a key of `join_path` stands for, and the layer of that name."""
    name, _, place = key.rpartition(_MARK)
    return name, int(place)


def _written(node: nodes.Node) -> str:
    """Return the source of an expression made of names, attributes and constant indexes, else an empty string."""
    match node:
        case nodes.Name():
            return str(node.name)
        case nodes.Getattr():
            before = _written(node.node)
            return f"{before}.{node.attr}" if before else ""
        case nodes.Getitem(arg=nodes.Const(value=value)):
            before = _written(node.node)
            after = f".{value}" if isinstance(value, str) else f"[{value}]"
            return before + after if before else ""
    return ""
