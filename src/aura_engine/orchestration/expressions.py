"""Expressions and templates of workflows: values and texts from what a step may see. Pure.

    evaluate("inputs.price * 2", {"inputs": {"price": 4}})     8
    render("Fix {{ item.title }}", scope)

An expression is one of Jinja's, without braces; a template is a Jinja text. Both run in a sandbox that bounds their
size, their result and the work in between, and both give the same for the same scope: they know neither the time nor
randomness, and reach neither files nor Python's own objects. `aura_engine.orchestration.scope.scope_of` makes the scope
of a step. Values are those of JSON.

What goes wrong is an `ExpressionError`, which names field, step and line. Jinja is imported on first use.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aura_contracts.errors import (
    ConditionNotBoolean,
    ExpressionError,
    ExpressionLimit,
    InvalidItems,
    MissingName,
    MissingOutput,
)
from aura_contracts.plain_data import DEPTH_LIMIT, is_too_deep
from aura_contracts.quoting import ERROR_LIMIT, cut, listed, one_line
from aura_engine.orchestration.lazy_tables import Lazy

if TYPE_CHECKING:
    from aura_engine.orchestration._expression_sandbox import ExpressionSandbox, Form

EXPRESSION_LIMIT = 8 * 1024
"""Bytes of an expression."""

TEMPLATE_LIMIT = 64 * 1024
"""Bytes of a template, as of those for prompts."""

ITEMS_LIMIT = 1000
"""The most items that a list of items may have, whatever its step says."""

_LISTED = 20

_JSON_KINDS = {bool: "a boolean", str: "a text", int: "a number", float: "a number", dict: "an object", list: "a list"}

_idle: "list[ExpressionSandbox]" = []
"""Sandboxes that nothing is evaluated in; `pop` and `append` are atomic, so threads share them."""


class Scope(dict[str, object]):
    """The variables of an evaluation, the `step` that they are for, and why a name may be missing (`hints`)."""

    step: str = ""
    hints: Mapping[str, str] = {}


def evaluate(expression: str, scope: Mapping[str, object], *, field: str = "expression") -> Any:
    """Return the value of an expression. Raises `ExpressionError`; `field` is for its message."""
    from aura_engine.orchestration._expression_sandbox import Form  # noqa: PLC0415 - see the module's documentation

    return _result(expression, Form.EXPRESSION, scope, field)


def is_true(expression: str, scope: Mapping[str, object], *, field: str = "when") -> bool:
    """Return the value of a condition. Raises `ConditionNotBoolean` for any but true and false, `ExpressionError`."""
    value = evaluate(expression, scope, field=field)
    if isinstance(value, bool):
        return value
    kind = _JSON_KINDS.get(type(value), "null")
    reason = f"a condition is true or false, and this is {kind}"
    raise ConditionNotBoolean(field=field, step=_step(scope), line=1, reason=reason, kind=kind)


def items_of(
    expression: str, scope: Mapping[str, object], *, limit: int = ITEMS_LIMIT, field: str = "items"
) -> tuple[Any, ...]:
    """Return the items that an expression lists, at most `limit`. Raises `InvalidItems`, `ExpressionError`."""
    value = evaluate(expression, scope, field=field)
    limit = min(limit, ITEMS_LIMIT)
    if not isinstance(value, list):
        reason = f"items are a list, and this is {_JSON_KINDS.get(type(value), 'null')}"
        remedy = "give a list; of an object, its keys or values: x.keys(), x.values()"
    elif len(value) > limit:
        reason, remedy = f"there are {len(value)} items; the limit is {limit}", "select fewer, or raise the limit"
    else:
        return tuple(value)
    raise InvalidItems(field=field, step=_step(scope), line=1, reason=reason, remedy=remedy)


def render(template: str, scope: Mapping[str, object], *, field: str = "template") -> str:
    """Return the text of a template. Raises `ExpressionError`."""
    from aura_engine.orchestration._expression_sandbox import Form  # noqa: PLC0415 - see the module's documentation

    text: str = _result(template, Form.TEMPLATE, scope, field)
    return text


def rendered(value: Any, scope: Mapping[str, object], *, field: str = "inputs") -> Any:
    """Return a value with all texts in it rendered, also within lists and tables; keys stay as they are.

    A text that is one placeholder and nothing else, such as ``{{ steps.plan.output.files }}``, becomes the value
    itself: a list stays a list. Raises `ExpressionError`, whose field is the path of the text.
    """
    from aura_engine.orchestration._expression_sandbox import Form  # noqa: PLC0415 - see the module's documentation

    if is_too_deep(value):
        reason = f"it is nested more than {DEPTH_LIMIT} deep"
        raise ExpressionLimit(field=field, step=_step(scope), line=1, reason=reason, remedy="flatten it")

    def made(part: Any, path: str) -> Any:
        match part:
            case str():
                return _result(part, Form.MIXED, scope, path) if "{" in part else part
            case Mapping():
                return {name: made(one, f"{path}.{name}") for name, one in part.items()}
            case list() | tuple():
                return [made(one, f"{path}[{place}]") for place, one in enumerate(part)]
            case _:
                return part

    return made(value, field)


def _step(scope: Mapping[str, object]) -> str:
    return scope.step if isinstance(scope, Scope) else ""


def _result(text: str, form: "Form", scope: Mapping[str, object], field: str) -> Any:
    from aura_engine.orchestration._expression_sandbox import ExpressionSandbox  # noqa: PLC0415 - see above

    require_size(text, form.value, field, _step(scope))
    sandbox = _idle.pop() if _idle else ExpressionSandbox()
    try:
        return sandbox.result(text, form, scope)
    except Exception as error:  # whatever the expressions in it do
        raise _told(error, sandbox, text, form, scope, field) from error
    finally:
        _idle.append(sandbox)


def require_size(text: str, form: str, field: str, step: str = "") -> None:
    """Refuse a text that is too long. Raises `ExpressionLimit`."""
    limit = EXPRESSION_LIMIT if form == "expression" else TEMPLATE_LIMIT
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    if size > limit:
        reason = f"the text takes {size} bytes; the limit is {limit}"
        raise ExpressionLimit(field=field, step=step, line=1, reason=reason, remedy="shorten it")


def _told(
    error: Exception, sandbox: "ExpressionSandbox", text: str, form: "Form", scope: Mapping[str, object], field: str
) -> ExpressionError:
    """Return the error with its place."""
    from jinja2.exceptions import TemplateSyntaxError  # noqa: PLC0415 - see the module's documentation

    from aura_engine._sandbox import Missing  # noqa: PLC0415
    from aura_engine._template_filters import LimitReached  # noqa: PLC0415
    from aura_engine.orchestration._expression_sandbox import NoOutput, line_of, reason_of  # noqa: PLC0415

    line = error.lineno if isinstance(error, TemplateSyntaxError) else line_of(error)
    reason = cut(one_line(reason_of(error)), ERROR_LIMIT)
    place: dict[str, Any] = {"field": field, "step": _step(scope), "line": line, "reason": reason}
    match error:
        case NoOutput():
            return MissingOutput(**place, source=error.absent.source, status=error.absent.status)
        case Missing() if error.missing is not None:
            return _missing(error, sandbox, text, form, scope, place)
        case LimitReached() | RecursionError() | MemoryError():
            return ExpressionLimit(**place)
    return ExpressionError(**place)


def _missing(
    error: Any,
    sandbox: "ExpressionSandbox",
    text: str,
    form: "Form",
    scope: Mapping[str, object],
    place: dict[str, Any],
) -> MissingName:
    from difflib import get_close_matches  # noqa: PLC0415 - only for mistakes

    from jinja2.utils import missing  # noqa: PLC0415 - see the module's documentation

    from aura_engine._sandbox import written_name  # noqa: PLC0415

    whole = error.owner is missing
    last = str(error.missing)
    name, line = written_name(sandbox.parsed(text, form), place["line"], last, whole=whole)
    owner = scope if whole else error.owner
    names = owner.names() if isinstance(owner, Lazy) else sorted(map(str, owner)) if isinstance(owner, Mapping) else ()
    hint = owner.hint(last) if isinstance(owner, Lazy) else ""
    if whole and isinstance(scope, Scope):
        hint = scope.hints.get(last, "")
    known = f"there are {listed(names, _LISTED)}" if names else "it has no such part"
    near = get_close_matches(last, names, n=1)
    remedy = f"did you mean {near[0]}?" if near else "correct it, or use the filter default for what may be missing"
    reason = cut(one_line(f"there is no {name}: {hint or known}"), ERROR_LIMIT)
    return MissingName(**{**place, "line": line, "reason": reason}, name=name, remedy=remedy)
