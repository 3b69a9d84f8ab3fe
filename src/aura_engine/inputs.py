"""Inputs: one pydantic model for each kind of input, wherever it comes from.

The command line, library calls, files, agents' tools and HTTP all use these models. An invalid value raises
`InvalidInput` with the field, the reason and a remedy, before anything is done. Times are in seconds.

Importing pydantic takes longer than the rest of AURA's start-up, so this module is only imported when an input arrives.
"""

import math
import os
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from hashlib import sha256
from typing import Annotated, Any, Self, TypeVar

import msgspec
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from aura_contracts.agent import AgentSpec
from aura_contracts.errors import InvalidInput, require_text
from aura_contracts.execution import OUTPUT_LIMIT, RunPlan, Script
from aura_contracts.executor_names import executor_name
from aura_contracts.first_use import convert
from aura_contracts.permission import PermissionRules, Rule
from aura_contracts.secrets import require_no_secret, require_no_secrets
from aura_contracts.task import AgentType, ApprovalMode, Priority, RetryPolicy
from aura_engine.decisions._decider import retry_problem

T = TypeVar("T")

TITLE_LENGTH = 72
"""Maximum characters of a title made from a prompt."""

KEY_LENGTH = 200
"""Maximum characters of the key of a request."""

DIGEST_VERSION = 1
"""The version of `RunRequest.digest`; a digest of another version has to be computed as that version did."""


# --- Values -----------------------------------------------------------------------------------------------------------


def _filled(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("empty", "it is empty", {"remedy": "give a text that is not blank"})
    return text


def _storable(text: str) -> str:
    try:
        storable = b"\0" not in text.encode()
    except UnicodeEncodeError:
        storable = False
    if not storable:
        given = {"remedy": "use characters only"}
        raise PydanticCustomError("storable", "it holds NUL or half of a surrogate pair", given)
    return text


def _person(text: str) -> str:
    if ":" in _filled(text):
        raise PydanticCustomError(
            "person", "{text} is not a name", {"text": repr(text), "remedy": "write the name alone, such as alice"}
        )
    return text


def _retry(value: Any) -> RetryPolicy:
    policy = _struct(RetryPolicy)(value)
    if problem := retry_problem(policy):
        raise PydanticCustomError("retry", "{reason}", {"reason": problem, "remedy": "see RetryPolicy"})
    return policy


def _rule(text: str) -> str:
    try:
        Rule.parse(text)
    except InvalidInput as error:
        given = {"reason": error.reason, "remedy": error.remedy}
        raise PydanticCustomError("rule", "{reason}", given) from error
    return text


def _struct(kind: type[T]) -> Callable[[Any], T]:
    """Return a converter from plain data to a struct; structs pass unchanged."""

    def made(value: Any) -> T:
        if isinstance(value, kind):
            return value
        try:
            return convert(value, kind)
        except msgspec.ValidationError as error:
            given = {"reason": str(error), "remedy": f"see {kind.__name__}"}
            raise PydanticCustomError("struct", "{reason}", given) from error

    return made


def _script(value: Any) -> Any:
    if value is None:
        return None
    return Script(text=value) if isinstance(value, str) else _struct(Script)(value)


Filled = Annotated[str, AfterValidator(_filled)]
ExecutorName = Annotated[Filled, AfterValidator(executor_name)]
Key = Annotated[str, Field(max_length=KEY_LENGTH), AfterValidator(_filled), AfterValidator(_storable)]
Person = Annotated[str, AfterValidator(_person)]
RuleText = Annotated[str, AfterValidator(_rule)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
ScriptInput = Annotated[Script | None, BeforeValidator(_script)]
RetryInput = Annotated[RetryPolicy, BeforeValidator(_retry)]


# --- Base -------------------------------------------------------------------------------------------------------------


class Input(BaseModel):
    """Base of all inputs: immutable, without unknown fields; raises `InvalidInput` for invalid values."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True)

    @model_validator(mode="wrap")
    @classmethod
    def _refuse(cls, data: Any, handler: Callable[[Any], Self]) -> Self:
        try:
            made = handler(data)
        except ValidationError as error:
            raise _refusal(error.errors(include_url=False)[0], cls.model_fields) from error
        for field in cls.model_fields:
            _require_data(getattr(made, field), field)
        return made


def _require_data(value: Any, field: str) -> None:
    """Refuse what JSON or a database cannot keep, and secrets, which a log would keep forever.

    Raises `InvalidInput`, `InvalidText`.
    """
    match value:
        case None | bool():
            pass
        case str():
            require_no_secret(require_text(value, field), field)
        case int() if -(2**63) <= value < 2**63:
            pass
        case float() if math.isfinite(value):
            pass
        case Mapping() if all(isinstance(name, str) for name in value):
            for name, one in value.items():
                _require_data(one, f"{field}.{require_text(name, field)}")
        case list() | tuple():
            for place, one in enumerate(value):
                _require_data(one, f"{field}.{place}")
        case msgspec.Struct():
            _require_data(msgspec.to_builtins(value), field)
        case _:
            reason = f"a value of type {type(value).__name__} is not JSON data, or out of its range"
            raise InvalidInput(
                field=field, reason=reason, remedy="use texts, numbers, True, False, None, lists, mappings"
            )


def _refusal(error: ErrorDetails, fields: Mapping[str, Any]) -> InvalidInput:
    """Return the first error of an input, in AURA's wording."""
    field = ".".join(str(part) for part in error["loc"]) or "input"
    given = error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            near = get_close_matches(field, fields, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"the fields are {', '.join(fields)}"
            return InvalidInput(field=field, reason="there is no such field", remedy=remedy)
        case "missing":
            return InvalidInput(field=field, reason="it is required", remedy=f"give {field}")
        case "enum":
            return InvalidInput(
                field=field, reason=f"{error['input']!r} is not one of its values", remedy=f"use {given['expected']}"
            )
        case "tuple_type" | "list_type" | "dict_type":
            kind = "mapping" if error["type"] == "dict_type" else "list"
            return InvalidInput(field=field, reason=f"{error['input']!r} is not a {kind}", remedy=f"give a {kind}")
        case "greater_than" | "finite_number":
            reason = f"{error['input']!r} is not a number above 0"
            return InvalidInput(field=field, reason=reason, remedy="give a finite number above 0")
        case _:
            reason = error["msg"][:1].lower() + error["msg"][1:]
            return InvalidInput(
                field=field, reason=reason, remedy=str(given.get("remedy", "see the options of the call"))
            )


# --- What inputs share ------------------------------------------------------------------------------------------------


class Place(Input):
    """Where to work on a task."""

    repositories: tuple[Filled, ...] = Field(
        (), description="Paths of repositories, of a subfolder of one, or of one folder outside any"
    )
    in_place: bool = Field(default=False, description="Work directly in the given folder, without a worktree")
    target_branch: str = Field("", description="The branch to merge into; empty: the one that is checked out")
    copy_files: tuple[Filled, ...] = Field(
        (), description="Patterns of untracked files that worktrees need, such as .env"
    )


class HowToRun(Input):
    """How to run an agent, besides its prompt."""

    options: dict[str, Any] = Field({}, description="Settings of the executor; never secrets, the log keeps them")
    variant: str | None = Field(None, description="A named set of the executor's options, see profiles.toml")
    variables: dict[str, str] = Field({}, description="Variables for prompt templates")
    setup: ScriptInput = Field(None, description="A script to run before the agent")
    cleanup: ScriptInput = Field(None, description="A script to run after the agent, if it changed anything")
    timeout: Seconds | None = Field(None, description="Seconds that each process may take")
    idle_timeout: Seconds | None = Field(None, description="Seconds that each process may be silent")
    output_limit: int = Field(OUTPUT_LIMIT, ge=1, le=2**63 - 1, description="Bytes that each process may write")
    allow: tuple[RuleText, ...] = Field(
        (), description="Tool calls to allow without asking: rules such as Bash(npm test)"
    )
    deny: tuple[RuleText, ...] = Field((), description="Tool calls to refuse without asking; checked before allow")
    tools: bool = Field(default=False, description="Give the agent AURA's own tools")

    @model_validator(mode="after")
    def _without_secrets(self) -> Self:
        require_no_secrets(self.options)
        require_no_secrets(self.variables, "variables")
        for name, script in (("setup", self.setup), ("cleanup", self.cleanup)):
            if script is not None:
                require_no_secret(script.text, name, commands=True)
        return self

    @property
    def plan(self) -> RunPlan:
        """The part that is stored with the execution."""
        return RunPlan(
            options=self.options,
            variables=self.variables,
            setup=self.setup,
            cleanup=self.cleanup,
            timeout=self.timeout,
            idle_timeout=self.idle_timeout,
            output_limit=self.output_limit,
            permissions=PermissionRules(allow=self.allow, deny=self.deny),
            tools=self.tools,
        )


class Review(Input):
    """Who approves what, and how often to retry a failed stage."""

    approval: ApprovalMode = Field(ApprovalMode.CHANGES, description="What a human approves: plan, changes, both, auto")
    reviewers: tuple[Person, ...] = Field((), description="Names of people who may decide besides the creator")
    retry: RetryInput = Field(RetryPolicy(), description="Attempts at each stage, and the pauses between them")
    priority: Priority = Field(Priority.MEDIUM, description="low, medium or high")
    project: str | None = Field(None, description="The project that the task belongs to")
    context: dict[str, Any] = Field({}, description="Further data about the task, as JSON values")

    @model_validator(mode="after")
    def _context_without_secrets(self) -> Self:
        require_no_secrets(self.context, "context")
        return self


# --- The inputs -------------------------------------------------------------------------------------------------------


class RunRequest(Place, HowToRun, Review):
    """One task from prompt to result."""

    prompt: Filled = Field(description="The task, in words")
    executor: ExecutorName = Field(description="The executor to use, as `Engine.executors` lists them")
    title: str = Field("", description="A short name for the task; empty: taken from the prompt")
    repositories: tuple[Filled, ...] = Field((".",), description="Paths of repositories, or of one folder")
    session_id: str | None = Field(None, description="The agent's session to resume")
    resume_latest: bool = Field(default=False, description="Resume the newest session of the executor on these files")
    fork: bool = Field(default=False, description="Resume a copy of the session; leave the original unchanged")

    @model_validator(mode="after")
    def _fork_of_a_session(self) -> Self:
        if self.fork and self.session_id is None and not self.resume_latest:
            remedy = "name a session_id, or use resume_latest"
            raise InvalidInput(field="fork", reason="there is no session to copy", remedy=remedy)
        if self.resume_latest and self.session_id is not None:
            reason = "the session to resume is named"
            raise InvalidInput(field="resume_latest", reason=reason, remedy="use either session_id or resume_latest")
        return self

    @property
    def plan(self) -> RunPlan:
        """The part that is stored with the execution."""
        return msgspec.structs.replace(super().plan, fork=self.fork)

    @property
    def located(self) -> Self:
        """This request with absolute paths, as seen from the current folder."""
        paths = tuple(os.path.abspath(path) for path in self.repositories)  # noqa: PTH100 - links stay
        return self.model_copy(update={"repositories": paths})

    def digest(self, after: Iterable[str] = ()) -> str:
        """Return a digest that is equal for equal requests that wait for the same tasks, in this and later versions.

        It covers the real paths of the repositories, and of the other fields those that differ from their defaults: a
        field that a later version adds does not change it.
        """
        fields = type(self).model_fields
        asked = {name: getattr(self, name) for name in sorted(fields)}
        asked = {name: value for name, value in asked.items() if value != fields[name].default}
        asked["repositories"] = [os.path.realpath(path) for path in self.repositories]
        if waits := sorted(set(after)):
            asked["after"] = waits
        return f"{DIGEST_VERSION}:{sha256(msgspec.json.encode(asked, order='deterministic')).hexdigest()}"


class StartOptions(Input):
    """How to start a request, besides the request itself."""

    key: Key | None = Field(None, description="The caller's own key for the request: it starts only one task")
    after: tuple[Filled, ...] = Field((), description="Tasks that must complete first")


class NewTask(Place, Review):
    """A task to create; no agent starts on it yet."""

    title: Filled = Field(description="The task in one line")
    description: str = Field("", description="The task in full")
    parent: str | None = Field(None, description="The parent task")
    agent_type: Filled | None = Field(None, description="The type of agent to assign it to")


class Assignment(Place, HowToRun):
    """The agent for a task, and how to run it."""

    agent: str | None = Field(None, description="A certain agent of the pool")
    agent_type: Filled | None = Field(None, description="An idle agent of this type")
    executor: ExecutorName | None = Field(None, description="An idle agent with this executor; added if none exists")


class NewAgent(Input):
    """An agent for the pool."""

    name: Filled = Field(description="The name of the agent")
    executor: ExecutorName = Field(description="The executor that runs it")
    type: Filled = Field("developer", description="The role of the agent: developer, tester, or any other word")
    variant: str = Field("", description="A named set of the executor's options")
    options: dict[str, Any] = Field({}, description="Settings of the executor; never secrets")
    capabilities: tuple[Filled, ...] = Field((), description="The capabilities of the agent, in words")

    @model_validator(mode="after")
    def _without_secrets(self) -> Self:
        require_no_secrets(self.options)
        return self

    @property
    def spec(self) -> AgentSpec:
        """The part that is recorded."""
        return AgentSpec(
            name=self.name,
            type=AgentType(self.type),
            executor=self.executor,
            variant=self.variant,
            options=self.options,
            capabilities=self.capabilities,
        )


def title_of(prompt: str) -> str:
    """Return a title for a prompt: its first line that is not blank, cut at a word."""
    line = next((line.strip() for line in prompt.splitlines() if line.strip()), "")
    if len(line) <= TITLE_LENGTH:
        return line
    return f"{line[:TITLE_LENGTH].rpartition(' ')[0] or line[:TITLE_LENGTH]}..."
