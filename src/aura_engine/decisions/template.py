"""Decisions about prompt templates.

Source: specification, "Prompt template strict rendering"; ARCHITECTURE names the limits. The renderer checks that a
text is a correct template before it asks for a decision.

Who may do what: humans and AURA itself; an agent never changes its own prompts or another agent's."""

import re
from collections.abc import Sequence

from aura_contracts.ids import is_canonical_id
from aura_contracts.template import (
    PROMPT_TEMPLATE,
    DefineTemplate,
    PromptTemplate,
    RecordTemplateRefusal,
    RestoreTemplate,
    RetireTemplate,
    ReviseTemplate,
    TemplateCommandRefused,
    TemplateDefined,
    TemplateRestored,
    TemplateRetired,
    TemplateRevised,
    TemplateScope,
    template_id,
)
from aura_engine.decisions._decider import (
    Context,
    Decider,
    Events,
    RuleBroken,
    becomes,
    no_agent,
    only_system,
)

TEMPLATE_LIMIT = 64 * 1024
"""Bytes of a template's text in UTF-8: 64 KiB."""

VARIABLE_LIMIT = 100
"""Declared variables of one template."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")


_no_agent = no_agent("agents do not change prompts")


def _require_name(command: DefineTemplate) -> None:
    if not _NAME.fullmatch(command.spec.name):
        reason = f"{command.spec.name!r} is not a name: a letter, then up to 99 letters, digits, '_', '-'"
        raise RuleBroken("name", reason)


def _require_scope_key(command: DefineTemplate) -> None:
    scope, key = command.spec.scope, command.spec.scope_key
    wanted = {
        TemplateScope.PROJECT: "the name of the project",
        TemplateScope.TASK: "the id of the task",
        TemplateScope.WORKSPACE: "the id of the workspace",
    }
    if scope is TemplateScope.GLOBAL:
        fits = key is None
    elif scope is TemplateScope.PROJECT:
        fits = key is not None and bool(key.strip())
    else:
        fits = key is not None and is_canonical_id(key)
    if not fits:
        reason = f"a {scope} template has {wanted.get(scope, 'no key')} as its scope key, not {key!r}"
        raise RuleBroken("scope_key", reason)


def _require_text(text: str) -> None:
    size = len(text.encode("utf-8", "surrogatepass"))
    if not text.strip():
        raise RuleBroken("text", "the text is empty", "to use none, retire the template")
    if size > TEMPLATE_LIMIT:
        reason = f"the text takes {size} bytes; the limit is {TEMPLATE_LIMIT}"
        raise RuleBroken("text_too_large", reason, "shorten it")


def _require_variables(names: Sequence[str]) -> None:
    if len(names) > VARIABLE_LIMIT:
        reason = f"a template declares at most {VARIABLE_LIMIT} variables, this one {len(names)}"
        raise RuleBroken("variables", reason)
    for index, name in enumerate(names):
        if not name.isidentifier():
            raise RuleBroken("variables", f"{name!r} is not the name of a variable")
        if name in names[:index]:
            raise RuleBroken("variables", f"{name!r} is declared twice")


def _define(_: None, command: DefineTemplate, context: Context) -> Events:
    spec = command.spec
    _require_name(command)
    _require_scope_key(command)
    _require_text(spec.text)
    _require_variables(spec.variables)
    derived = template_id(spec.scope, spec.scope_key, spec.name)
    if command.template_id != derived:
        reason = f"the id of {spec.name!r} in this scope is {derived}"
        raise RuleBroken("template_id", reason, "use that id")
    return [TemplateDefined(template_id=command.template_id, spec=spec)]


def _revise(state: PromptTemplate, command: ReviseTemplate, context: Context) -> Events:
    _require_text(command.text)
    _require_variables(command.variables)
    if command.based_on not in {None, state.revision}:
        reason = f"the change is based on revision {command.based_on}, the current one is {state.revision}"
        raise RuleBroken("stale_revision", reason, "look at the current text first")
    if (command.text, command.variables) == (state.text, state.variables):
        return []
    return [TemplateRevised(revision=state.revision + 1, text=command.text, variables=command.variables)]


PROMPT_TEMPLATE_DECIDER = Decider(
    PROMPT_TEMPLATE,
    {
        DefineTemplate: (_no_agent, _define),
        ReviseTemplate: (_no_agent, _revise),
        RetireTemplate: (_no_agent, becomes(TemplateRetired)),
        RestoreTemplate: (_no_agent, becomes(TemplateRestored)),
        RecordTemplateRefusal: (only_system("AURA records refusals"), becomes(TemplateCommandRefused)),
    },
)
