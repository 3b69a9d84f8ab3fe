"""Strategies of definitions of workflows that follow all rules."""

import re

import msgspec
from hypothesis import strategies as st

from aura_contracts.approval import Level, OnExpiry
from aura_contracts.failures import FailureReason
from aura_contracts.secrets import secret_in
from aura_contracts.task import Priority
from aura_contracts.workflow.values import (
    AgentTaskStep,
    ApprovalStep,
    Case,
    CommandStep,
    ConditionalStep,
    EndStep,
    ForEachStep,
    Join,
    LoopStep,
    OnStepFailure,
    OnWorkflowFailure,
    ParallelStep,
    StepDefinition,
    StepRecovery,
    StepRetry,
    SubWorkflowStep,
    WaitStep,
    WorkflowDefinition,
    WorkflowStatus,
)

HARD_TEXTS = (
    "no",
    "1e5",
    "0x10",
    "~",
    "",
    "- a",
    "a: b",
    "# x",
    "{{ inputs.a }}",
    "[x]",
    "&a",
    "*a",
    "!x",
    "|",
    ">",
    "%",
    "@",
    "`",
    "'",
    '"',
    "\\",
    "a\n",
    "a\n\n",
    "\na",
    " a\n b",
    "a\n  b\n c",
    "a \nb",
    "a\tb\n",
    "a\r\nb",
    "a\x85b\nc",
    "a\u2028b\nc",
    "\ufeffa\nb",
    "\U0001f600",
    "a\n#b",
    "---\na",
    "...",
    "x" * 200,
    "word " * 40,
    "yes: [no",
    "\x07",
)


def texts():
    anything = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
    return (st.sampled_from(HARD_TEXTS) | anything).filter(lambda text: secret_in(text, commands=True) is None)


def filled():
    return texts().filter(str.strip)


def templates():
    """Texts that are templates without placeholders."""
    return filled().filter(lambda text: "{" not in text)


def expressions():
    return st.sampled_from(("true", "1 == 1", "'a: b' != \"# c\"", "not\n  false", "[1, 2]", "{'a': 1}", "- 1 < 2"))


def json_values():
    numbers = st.integers(-(10**17), 10**17) | st.floats(-1e17, 1e17) | st.booleans() | st.none()
    return st.recursive(
        texts() | numbers,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(), inner, max_size=3),
        max_leaves=6,
    )


def tables():
    """Data whose names are not those of secrets."""
    return st.dictionaries(st.sampled_from(("a", "b c", "1", "")), json_values().map(_harmless), max_size=3)


def _harmless(value):
    """Return data without keys: a random one might be the name of a secret."""
    if isinstance(value, dict):
        return [_harmless(one) for one in value.values()]
    return [_harmless(one) for one in value] if isinstance(value, list) else value


def schemas():
    """Schemas, some with a default that fits them."""
    values = {"string": texts(), "integer": st.integers(-100, 100), "array": st.lists(json_values(), max_size=2)}
    return st.one_of(
        st.fixed_dictionaries({"type": st.just(name)}, optional={"default": fitting})
        for name, fitting in values.items()
    )


_TIMES = st.integers(1, 10**6).map(float) | st.floats(0.001, 10**6)
_PEOPLE = st.lists(st.sampled_from(("ann", "bob", "carl")), unique=True, max_size=3).map(tuple)


@st.composite
def _configs(draw, blocks, *, inner):
    kinds = [_task, _command, _approval, _sub_workflow, _wait]
    if inner:
        kinds += [_conditional, _parallel, _for_each, _loop]
    return draw(draw(st.sampled_from(kinds))(blocks))


def _task(blocks):
    return st.builds(
        AgentTaskStep,
        task_template=templates(),
        agent_type=st.none() | st.sampled_from(("architect", "x-1")),
        requires_approval=st.booleans(),
        output=st.none() | schemas(),
        options=tables(),
    )


def _command(blocks):
    return st.builds(
        CommandStep,
        run=templates(),
        recovery=st.sampled_from(StepRecovery),
        output=st.none() | schemas(),
        options=tables(),
    )


def _approval(blocks):
    return st.builds(
        ApprovalStep,
        question=templates(),
        reviewers=_PEOPLE,
        levels=st.just(()) | st.just((Level(reviewers=("dora", "emil"), quorum=2),)),
        choices=st.just(()) | st.just(("left", "no")),
        deadline=st.none() | _TIMES,
        on_expiry=st.sampled_from(OnExpiry),
    )


def _sub_workflow(blocks):
    return st.builds(
        SubWorkflowStep,
        workflow=st.sampled_from(("build", "build@3", "a b")),
        inputs=st.dictionaries(texts(), templates() | st.integers(0, 9), max_size=2),
    )


def _wait(blocks):
    return st.one_of(
        st.builds(WaitStep, seconds=_TIMES),
        st.builds(WaitStep, until=templates()),
        st.builds(WaitStep, signal=filled()),
    )


def _conditional(blocks):
    cases = st.lists(st.builds(Case, when=expressions(), steps=blocks), min_size=1, max_size=2).map(tuple)
    return st.builds(ConditionalStep, cases=cases, otherwise=st.just(()) | blocks)


def _parallel(blocks):
    return st.builds(ParallelStep, steps=blocks, join=_joins(), n=st.none())


def _for_each(blocks):
    n_of = st.builds(ForEachStep, items=expressions(), steps=blocks, join=st.just(Join.N_OF), n=st.integers(1, 100))
    limits = st.integers(1, 1000)
    return n_of | st.builds(
        ForEachStep, items=expressions(), steps=blocks, limit=limits, concurrency=st.none() | limits
    )


def _loop(blocks):
    return st.builds(LoopStep, steps=blocks, until=expressions(), limit=st.integers(1, 1000))


def _joins():
    return st.sampled_from([join for join in Join if join is not Join.N_OF])


@st.composite
def _steps(draw, depth):
    """A block of steps; ids are given later."""
    found = []
    for number in range(draw(st.integers(1, 2))):
        before = draw(st.lists(st.integers(0, number - 1), unique=True, max_size=2)) if number else []
        join = draw(_joins()) if before else Join.ALL_SUCCEEDED
        undo = StepDefinition(id="undo", config=draw(_command(None))) if draw(st.integers(0, 5)) == 0 else None
        found.append(
            StepDefinition(
                id=str(number),
                config=draw(_configs(_steps(depth - 1), inner=depth > 0)),
                title=draw(texts()),
                dependencies=tuple(map(str, before)),
                join=join,
                n=1 if join is Join.FIRST and draw(st.booleans()) else None,
                when=draw(st.just("") | expressions()),
                retry=draw(st.just(StepRetry()) | _retries()),
                timeout=draw(st.none() | _TIMES),
                on_failure=draw(st.sampled_from(OnStepFailure)),
                handler=draw(_steps(depth - 1)) if depth and draw(st.integers(0, 5)) == 0 else (),
                compensation=undo,
                locks=draw(st.sampled_from(((), ("deploy",), ("a", "b")))),
                priority=draw(st.none() | st.sampled_from(Priority)),
            )
        )
    return tuple(found)


def _retries():
    reasons = st.lists(st.sampled_from(FailureReason), unique=True, max_size=3).map(tuple)
    return st.builds(
        StepRetry, attempts=st.integers(1, 100), pause=_TIMES, factor=st.floats(1, 100), longest=_TIMES, on=reasons
    )


def _with_ids(steps, prefix="s"):
    """Return a block with ids that are unique: the places of the steps, under another name."""
    names = {step.id: f"{prefix}-{step.id}" for step in steps}
    return tuple(_renamed(step, names) for step in steps)


def _renamed(step, names):
    name = names[step.id]
    config = step.config
    match config:
        case ConditionalStep():
            cases = tuple(
                msgspec.structs.replace(case, steps=_with_ids(case.steps, f"{name}c{number}"))
                for number, case in enumerate(config.cases)
            )
            config = ConditionalStep(cases=cases, otherwise=_with_ids(config.otherwise, f"{name}o"))
        case ParallelStep() | ForEachStep() | LoopStep():
            config = msgspec.structs.replace(config, steps=_with_ids(config.steps, f"{name}i"))
        case _:
            pass
    undo = step.compensation
    return msgspec.structs.replace(
        step,
        id=name,
        config=config,
        dependencies=tuple(names[one] for one in step.dependencies),
        handler=_with_ids(step.handler, f"{name}h"),
        compensation=None if undo is None else msgspec.structs.replace(undo, id=f"{name}_undo"),
    )


def definitions():
    """Definitions that follow all rules."""
    end = StepDefinition(id="the-end", config=EndStep(status=WorkflowStatus.FAILED, reason="no"))
    steps = _steps(1).map(_with_ids)
    names = st.from_regex(re.compile(r"[a-z_]{1,5}"), fullmatch=True)
    return st.builds(
        WorkflowDefinition,
        name=st.sampled_from(("built", "Build it!", "12", "no", "a: b")),
        description=texts(),
        steps=steps | steps.map(lambda block: (*block, end)),
        inputs=st.dictionaries(names, schemas(), max_size=2),
        outputs=st.dictionaries(names, expressions(), max_size=2),
        context=tables(),
        project=st.none() | filled(),
        options=tables(),
        deadline=st.none() | _TIMES,
        on_failure=st.sampled_from(OnWorkflowFailure),
        compensate_on=st.sampled_from(
            ((), (WorkflowStatus.FAILED,), (WorkflowStatus.FAILED, WorkflowStatus.CANCELLED))
        ),
    )
