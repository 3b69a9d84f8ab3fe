"""Inputs: one pydantic model for each kind of input, wherever it comes from.

The command line, library calls, files, agents' tools and HTTP all use these models. An invalid value raises
`InvalidInput` with the field, the reason and a remedy, before anything is done. Times are in seconds.

Importing pydantic takes longer than the rest of AURA's start-up, so this module is only imported when an input arrives.
"""

import os
from collections.abc import Iterable
from hashlib import sha256
from typing import Self

import msgspec
from pydantic import (
    Field,
    model_validator,
)

from aura_contracts.agent import AgentLimits, AgentSpec
from aura_contracts.errors import InvalidInput
from aura_contracts.permission import PermissionRules
from aura_contracts.project import ProjectSpec
from aura_contracts.quoting import CUT
from aura_contracts.run_plan import OUTPUT_LIMIT, RunPlan
from aura_contracts.secrets import require_no_secret, require_no_secrets
from aura_contracts.task import (
    LOCK_LIMIT,
    AgentType,
    ApprovalMode,
    CollisionPolicy,
    DependencyPolicy,
    PartPolicy,
    Priority,
    RetryPolicy,
)
from aura_engine.decisions.agent import CAPACITY_LIMIT
from aura_engine.host import require_person
from aura_engine.input_values import (
    AwareTime,
    ExecutorName,
    Filled,
    Input,
    JsonObject,
    Key,
    LevelInput,
    PathPattern,
    Person,
    RetryInput,
    RuleText,
    ScriptInput,
    Seconds,
)

TITLE_LENGTH = 72
"""Maximum characters of a title made from a prompt."""

DIGEST_VERSION = 1
"""The version of `RunRequest.digest`; a digest of another version has to be computed as that version did."""


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

    options: JsonObject = Field({}, description="Settings of the executor; never secrets, the log keeps them")
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
    quorum: int = Field(1, ge=1, le=100, description="How many of the creator and the reviewers must approve the work")
    levels: tuple[LevelInput, ...] = Field(
        (), max_length=10, description="Further groups of people to ask in turn, each once the one before has approved"
    )
    no_self_approval: bool = Field(default=False, description="The creator does not decide about the work")
    retry: RetryInput = Field(RetryPolicy(), description="Attempts at each stage, and the pauses between them")
    priority: Priority = Field(Priority.MEDIUM, description="low, medium or high")
    project: str | None = Field(None, description="The project that it belongs to; None: that of its repository")
    context: JsonObject = Field({}, description="Further data about the task, as JSON values")
    locks: tuple[Filled, ...] = Field(
        (), max_length=LOCK_LIMIT, description="Names, such as deploy, of what no other task uses at the same time"
    )
    locked_paths: tuple[PathPattern, ...] = Field(
        (), max_length=LOCK_LIMIT, description="Patterns for paths, such as src/api/*, that no other task changes then"
    )
    on_collision: CollisionPolicy = Field(
        CollisionPolicy.WAIT, description="If another task has one of its locks: wait, or ask a human"
    )
    labels: tuple[Filled, ...] = Field((), description="Words to find it by, such as bug or backend")
    due_at: AwareTime | None = Field(None, description="When it should be done")
    on_dependency_failure: DependencyPolicy = Field(
        DependencyPolicy.FAIL, description="If a task that it waits for fails or is cancelled: fail, wait or start"
    )
    on_part_failure: PartPolicy = Field(
        PartPolicy.WAIT, description="If it completes with its parts and one of them fails: wait, fail or ignore"
    )
    fixes: str | None = Field(None, description="The task that it repairs")

    @model_validator(mode="after")
    def _levels_of_people(self) -> Self:
        for level in self.levels:
            for name in level.reviewers:
                require_person(name, "levels")
        return self

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
    after: tuple[Filled, ...] = Field((), description="Tasks that must complete first")
    agent_type: Filled | None = Field(None, description="The type of agent to assign it to")


class Assignment(Place, HowToRun):
    """The agent for a task, and how to run it."""

    agent: str | None = Field(None, description="A certain agent of the pool")
    agent_type: Filled | None = Field(None, description="An agent of the pool of this type, as soon as one is free")
    capabilities: tuple[Filled, ...] = Field((), description="An agent of the pool with these capabilities")
    executor: ExecutorName | None = Field(None, description="An idle agent with this executor; added if none exists")


class NewAgent(Input):
    """An agent for the pool."""

    name: Filled = Field(description="The name of the agent")
    executor: ExecutorName = Field(description="The executor that runs it")
    type: Filled = Field("developer", description="The role of the agent: developer, tester, or any other word")
    description: str = Field("", description="What to use it for, in words")
    variant: str = Field("", description="A named set of the executor's options")
    model: str = Field("", description="The model, as the executor names it; empty: the executor's default")
    options: JsonObject = Field({}, description="Settings of the executor; never secrets")
    prompt: str = Field("", description="Its own instructions, before the task in each first prompt")
    capabilities: tuple[Filled, ...] = Field((), description="The capabilities of the agent, in words")
    capacity: int = Field(1, ge=1, le=CAPACITY_LIMIT, description="How many tasks it works on at once")
    allow: tuple[RuleText, ...] = Field((), description="Tool calls to allow without asking, in each of its runs")
    deny: tuple[RuleText, ...] = Field((), description="Tool calls to refuse without asking, in each of its runs")
    timeout: Seconds | None = Field(None, description="Seconds that each process may take, if a run says no other")
    idle_timeout: Seconds | None = Field(None, description="Seconds that each process may be silent, likewise")
    output_limit: int | None = Field(None, ge=1, le=2**63 - 1, description="Bytes each process may write, likewise")

    @model_validator(mode="after")
    def _without_secrets(self) -> Self:
        require_no_secrets(self.options)
        require_no_secret(self.prompt, "prompt")
        return self

    @property
    def spec(self) -> AgentSpec:
        """The part that is recorded."""
        return AgentSpec(
            name=self.name,
            type=AgentType(self.type),
            executor=self.executor,
            description=self.description,
            variant=self.variant,
            model=self.model,
            options=self.options,
            prompt=self.prompt,
            capabilities=self.capabilities,
            permissions=PermissionRules(allow=self.allow, deny=self.deny),
            limits=AgentLimits(timeout=self.timeout, idle_timeout=self.idle_timeout, output_limit=self.output_limit),
            capacity=self.capacity,
        )


class NewProject(Input):
    """A project to create."""

    name: Filled = Field(description="Its name, which it keeps")
    description: str = Field("", description="What it is about")
    repositories: tuple[Filled, ...] = Field((), description="Paths of its repositories; tasks on them belong to it")
    documents: tuple[Filled, ...] = Field(
        (), description="Files that agents read first, as patterns relative to a repository: docs/*.md"
    )
    agent_type: str = Field("", description="The type of agent for tasks that no rule has another for")
    sample_agents: bool = Field(
        default=False, description="Choose agents of the pool by a draw from what is known of their acceptance"
    )

    @model_validator(mode="after")
    def _without_secrets(self) -> Self:
        require_no_secret(self.description, "description")
        return self

    @property
    def spec(self) -> ProjectSpec:
        """The part that is recorded."""
        return ProjectSpec(
            name=self.name.strip(),
            description=self.description,
            repositories=self.repositories,
            documents=self.documents,
            agent_type=AgentType(self.agent_type),
            sample_agents=self.sample_agents,
        )


def title_of(prompt: str) -> str:
    """Return a title for a prompt: its first line that is not blank, cut at a word."""
    line = next((line.strip() for line in prompt.splitlines() if line.strip()), "")
    if len(line) <= TITLE_LENGTH:
        return line
    return f"{line[:TITLE_LENGTH].rpartition(' ')[0] or line[:TITLE_LENGTH]}{CUT}"
