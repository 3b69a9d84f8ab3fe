"""Templates: prompts rendered from Jinja text and plain data. Pure.

    render(builtin("follow_up"), {"task": {...}, "feedback": "Use the other colour"})

Rendering is strict: a missing variable or attribute is an error that names the template, line and variable, and nothing
is rendered in part. It runs in a sandbox that limits the text, the output and the work in between. The same template
with the same data always renders the same prompt: it can use neither randomness nor the time.

`aura_contracts.template.resolve` decides which template applies; if it finds none, `builtin` has the text.
Jinja is imported on first use: that takes longer than the rest of AURA's start-up."""

from collections.abc import Mapping
from typing import Any

import attrs

from aura_contracts.errors import InvalidInput, TemplateError
from aura_engine._builtin_templates import BUILTIN
from aura_engine.decisions.template import TEMPLATE_LIMIT

BUILTIN_SCOPE = "built-in"

OUTPUT_LIMIT = 1_048_576
"""Bytes of a rendered prompt in UTF-8: 1 MiB."""


@attrs.frozen
class Template:
    """A text with placeholders, and its origin."""

    name: str
    scope: str
    """A `TemplateScope`, or ``built-in``."""
    text: str = attrs.field(repr=False)
    revision: int = 1
    """Counts from 1; 0 for built-in templates."""

    @property
    def label(self) -> str:
        """The name in error messages."""
        return f"{self.name} ({self.scope})"


def builtin(name: str) -> Template:
    """Return the built-in template of this name. Raises `TemplateError` for an unknown name."""
    if name not in BUILTIN:
        remedy = f"define it, or use one of the built-in ones: {', '.join(BUILTIN)}"
        raise TemplateError(template=name, line=1, reason="there is no template with this name", remedy=remedy)
    return Template(name, BUILTIN_SCOPE, BUILTIN[name], revision=0)


def render(template: Template, variables: Mapping[str, Any], *, parts: Mapping[str, Template] | None = None) -> str:
    """Return the prompt that `template` renders from `variables`.

    Values are plain data: text, numbers, booleans, None, and lists and tables of them; they are never interpreted as
    templates. `parts` are templates that this one may include by name, besides the built-in ones, so a project's own
    ``coding`` can extend the built-in one.

    Raises `MissingVariable`, `TemplateError` for any other fault or an exceeded limit, and `InvalidInput` for a value
    that is not plain data.
    """
    from aura_engine._template_sandbox import TemplateSandbox  # noqa: PLC0415 - see the module's documentation

    _require_size(template)
    sandbox = TemplateSandbox(template, {**{name: builtin(name) for name in BUILTIN}, **(parts or {})}, OUTPUT_LIMIT)
    return sandbox.render({name: _plain(value, name) for name, value in variables.items()})


def _require_size(template: Template) -> None:
    size = len(template.text.encode("utf-8", "surrogatepass"))
    if size > TEMPLATE_LIMIT:
        reason = f"the text takes {size} bytes; the limit is {TEMPLATE_LIMIT}"
        raise TemplateError(template=template.label, line=1, reason=reason, remedy="shorten it")


def _plain(value: Any, place: str, depth: int = 0) -> Any:
    """Return `value` rebuilt from built-in types, so that no template can call AURA's code."""
    match value:
        case None | bool():
            return value
        case str():
            return str.__str__(value)
        case int():
            return int(value)
        case float():
            return float(value)
    if depth < _DEPTH_LIMIT and isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {str.__str__(name): _plain(part, f"{place}.{name}", depth + 1) for name, part in value.items()}
    if depth < _DEPTH_LIMIT and isinstance(value, list | tuple):
        return [_plain(part, f"{place}[{index}]", depth + 1) for index, part in enumerate(value)]
    reason = f"{type(value).__name__} is not plain data" if depth < _DEPTH_LIMIT else "is nested too deep"
    raise InvalidInput(field=f"variable {place}", reason=reason, remedy="give text, numbers, lists and tables of them")


_DEPTH_LIMIT = 50
