"""Options: each field of a request has one, or a reason to have none, and they agree on what is meant by default."""

from argparse import Namespace

import pytest

from aura_cli.arguments.declarations import OptionGroup, add_options, values_of
from aura_cli.arguments.options import ADD_PROJECT, ASSIGN, CREATE, RUN
from aura_cli.arguments.parser import Parser
from aura_cli.arguments.request import run_request
from aura_cli.commands import approval, task
from aura_contracts.approval import ApprovalKind
from aura_contracts.board import CanonicalState
from aura_contracts.run_plan import Shell
from aura_contracts.task import (
    ApprovalMode,
    CollisionPolicy,
    DependencyPolicy,
    PartPolicy,
    Priority,
    RetryPolicy,
    TaskStatus,
)
from aura_engine import Assignment, NewProject, NewTask, RunRequest


def options_of(groups: tuple[OptionGroup, ...]):
    return [option for group in groups for option in group.options]


WITHOUT = {
    "output_limit": "a limit of the installation, not of one run",
    "due_at": "`aura task edit --due`",
    "on_part_failure": "`aura task edit --on-part-failure`",
    "priority": "a run starts at once; `aura task create --priority` orders what waits",
    "context": "data of programs",
}
"""Fields that no option of the run sets, and why."""


def fields_of(groups: tuple[OptionGroup, ...]) -> set[str]:
    return {option.field.partition(".")[0] for option in options_of(groups) if option.field}


def parsed(groups: tuple[OptionGroup, ...], *words: str) -> Namespace:
    parser = Parser(prog="aura")
    add_options(parser, groups)
    return parser.parse_args(words)


def test_every_field_of_a_run_has_an_option_or_a_reason():
    assert set(RunRequest.model_fields) == fields_of(RUN) | set(WITHOUT)
    assert not fields_of(RUN) & set(WITHOUT)


@pytest.mark.parametrize(
    ("groups", "model", "without"),
    [(CREATE, NewTask, set()), (ADD_PROJECT, NewProject, set()), (ASSIGN, Assignment, {"output_limit"})],
)
def test_every_field_of_a_task_has_an_option(groups, model, without):
    assert set(model.model_fields) - without == fields_of(groups)


def test_choices_are_those_of_the_domain():
    choices = {option.field: option.choices for option in [*options_of(RUN), *options_of(CREATE)] if option.choices}
    assert choices["approval"] == tuple(ApprovalMode)
    assert choices["priority"] == tuple(Priority)
    assert choices["on_collision"] == tuple(CollisionPolicy)
    assert set(choices["on_dependency_failure"]) == set(DependencyPolicy)
    assert set(choices["on_part_failure"]) == set(PartPolicy)
    assert tuple(ApprovalKind) == approval._KINDS
    assert tuple(TaskStatus) == task._STATUSES
    assert set(task._STATES) == set(CanonicalState)
    (shell,) = [option for option in options_of(RUN) if option.flag == "--setup-shell"]
    assert shell.choices == tuple(Shell)


def test_a_run_of_which_only_the_least_is_said_is_what_the_request_is_by_default():
    words = ("--executor", "custom", "--prompt", "x")
    request = run_request(parsed(RUN, *words), "x")
    default = RunRequest(executor="custom", prompt="x", repositories=request.repositories, context=request.context)
    assert request == default
    assert request.retry == RetryPolicy()


def test_a_flag_is_declared_once_in_a_command():
    for groups in (RUN, CREATE, ASSIGN):
        flags = [option.flag for option in options_of(groups)]
        assert len(flags) == len(set(flags))


def test_values_are_those_that_were_given():
    words = ("--executor", "x", "--prompt", "p", "--attempts", "2", "--var", "a=1", "--param", "q", "--option", "n=[1]")
    assert values_of(parsed(RUN, *words), RUN) == {
        "executor": "x",
        "prompt": "p",
        "retry": {"max_attempts": 2},
        "variables": {"a": "1"},
        "options": {"params": ["q"], "n": [1]},
    }


@pytest.mark.parametrize("prompt", ["--", "-", "--help", ""])
def test_a_prompt_after_an_equals_sign_is_one_whatever_it_is(prompt):
    assert parsed(RUN, "--executor", "x", f"--prompt={prompt}").prompt == prompt


def test_a_setting_wins_over_the_option_of_its_name():
    words = ("--executor", "x", "--prompt", "p", "--option", "model=big", "--model", "small", "--option", "yolo=false")
    assert values_of(parsed(RUN, *words), RUN)["options"] == {"model": "big", "yolo": False}
