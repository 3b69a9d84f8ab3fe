"""Prompts in the sandbox: strict, repeatable and bounded. Used by `aura_engine.jinja_templates` alone; imports Jinja.

`aura_engine._sandbox` has the rules. The limits apply to one rendering: a `TemplateSandbox` is used once.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import TracebackType
from typing import Any, Protocol

import attrs
from jinja2 import Environment, meta, nodes
from jinja2.exceptions import TemplateNotFound, TemplateRuntimeError, TemplateSyntaxError
from jinja2.loaders import FunctionLoader
from jinja2.utils import missing

from aura_contracts.errors import MissingVariable, TemplateError
from aura_contracts.quoting import listed
from aura_engine._sandbox import JinjaSandbox, Missing, written_name
from aura_engine._template_filters import LimitReached

LISTED = 20
"""Maximum number of names that an error lists."""

_ROOT = ""
"""The key of the template to render; others have a name and a layer."""

_MARK = "\0"
"""Separates the name from the layer in a key."""


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


class TemplateSandbox(JinjaSandbox):
    """Renders `template` once, or inspects it. `limit` is in bytes.

    `parts` are the templates that may be included: by name, the layers of the name, the narrowest scope first. Within
    one of them, the name stands for the layer behind it.
    """

    def __init__(self, template: TemplateSource, parts: Mapping[str, Sequence[TemplateSource]], limit: int) -> None:
        super().__init__(limit, loader=FunctionLoader(self._load))
        self._template = template
        self._layers = parts
        layers = list(parts.get(template.name, ()))
        self._layer = layers.index(template) if template in layers else -1
        """That of the template among the layers of its name; -1 if it stands before them."""
        self._labels: dict[str, TemplateSource] = {}
        self._variables: dict[str, object] = {}

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

    # --- Errors

    def _told(self, error: Exception) -> TemplateError:
        """Return the error with its template and line."""
        if isinstance(error, TemplateSyntaxError):
            label = error.filename or self._template.label
            return TemplateError(template=label, line=error.lineno, reason=error.message or "it is not a template")
        template, line = self._place(error.__traceback__)
        if isinstance(error, Missing) and error.missing is not None:
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

    def _missing(self, error: Missing, template: TemplateSource, line: int) -> MissingVariable:
        whole = error.owner is missing
        variable, line = written_name(self.parse(template.text), line, str(error.missing), whole=whole)
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
