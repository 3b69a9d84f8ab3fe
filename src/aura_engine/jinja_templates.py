"""Templates: prompts rendered from Jinja text and plain data. Pure.

    render(builtin("follow_up"), {"task": {...}, "feedback": "Use the other colour"})

Rendering is strict: a missing variable or attribute is an error that names the template, line and variable, and nothing
is rendered in part. It runs in a sandbox that limits the text, the output and the work in between. The same template
with the same data always renders the same prompt: it can use neither randomness nor the time.

`aura_contracts.template.layers` decides which templates apply; after the last one, `builtin` has the text.
Jinja is imported on first use: that takes longer than the rest of AURA's start-up."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import attrs

from aura_contracts.errors import InvalidInput, TemplateError
from aura_engine._builtin_templates import BUILTIN, VARIABLES
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


def render(
    template: Template, variables: Mapping[str, Any], *, parts: Mapping[str, Sequence[Template]] | None = None
) -> str:
    """Return the prompt that `template` renders from `variables`.

    Values are plain data: text, numbers, booleans, None, and lists and tables of them; they are never interpreted as
    templates. `parts` are templates that may be included, besides the built-in ones: by name, those of all scopes, the
    narrowest first. A template that includes its own name gets that of the next scope, so a project's own ``coding``
    can extend the built-in one; it need not be among its parts.

    Raises `MissingVariable`, `TemplateError` for any other fault or an exceeded limit, and `InvalidInput` for a value
    that is not plain data.
    """
    from aura_engine._template_sandbox import TemplateSandbox  # noqa: PLC0415 - see the module's documentation

    _require_size(template)
    sandbox = TemplateSandbox(template, _layered(parts or {}), OUTPUT_LIMIT)
    return sandbox.render({name: _plain(value, name) for name, value in variables.items()})


def require_correct(template: Template, declared: Collection[str]) -> None:
    """Refuse a text that could render for no task. Raises `TemplateError` with the line.

    That is one which is not a template, is too large, chooses what it includes while it renders, or uses a variable
    that neither AURA provides for a template of this name nor its author has `declared`.
    """
    from aura_engine._template_sandbox import TemplateSandbox  # noqa: PLC0415 - see the module's documentation

    _require_size(template)
    used = TemplateSandbox(template, {}, OUTPUT_LIMIT).inspect()
    known = {"task", *declared, *provided(template.name)}
    for name, line in used.variables.items():
        if name not in known:
            remedy = f"declare {name}, which each run then sets, or use one of {', '.join(sorted(known))}"
            raise TemplateError(template=template.label, line=line, reason=f"{name} is not declared", remedy=remedy)
    if used.dynamic is not None:
        reason, remedy = "it includes a template that only rendering would tell", 'write the name: {% include "NAME" %}'
        raise TemplateError(template=template.label, line=used.dynamic, reason=reason, remedy=remedy)


def provided(name: str) -> Collection[str]:
    """Return the variables that AURA provides for a template, besides `task`.

    A template that is not built in is for others to include, and may use what any of them may.
    """
    if name in VARIABLES:
        return VARIABLES[name]
    return tuple(dict.fromkeys(one for names in VARIABLES.values() for one in names))


def included(text: str) -> frozenset[str]:
    """Return the names of the templates that a text includes; none for a text that is not a template."""
    from aura_engine._template_sandbox import included_names  # noqa: PLC0415 - see the module's documentation

    return included_names(text)


def required_parts(text: str) -> Sequence[tuple[int, Sequence[str]]]:
    """Return what a text requires: lines, each with names of which one template has to be there.

    Nothing for what it includes only if it is there (``ignore missing``), or for a text that is not a template.
    """
    from aura_engine._template_sandbox import required_parts as found  # noqa: PLC0415 - see the module's documentation

    return found(text)


def _layered(parts: Mapping[str, Sequence[Template]]) -> dict[str, tuple[Template, ...]]:
    """Return all templates by name, the narrowest scope first and the built-in one last."""
    layered = {name: tuple(given) for name, given in parts.items()}
    others = [name for name in BUILTIN if builtin(name) not in layered.get(name, ())]
    return layered | {name: (*layered.get(name, ()), builtin(name)) for name in others}


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
