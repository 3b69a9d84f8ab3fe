"""Inquiries: questions in words that agents ask humans during their work, with AURA's own tools.

They are numbered for each task, and their ids follow from the number: finding them takes no search, a task without any
costs one look-up, and two agents that ask at once cannot use the same number.
"""

from collections.abc import Sequence
from uuid import UUID, uuid5

from aura_contracts.approval import APPROVAL, Approval, ApprovalStatus, WithdrawApproval
from aura_contracts.ids import ApprovalId, TaskId
from aura_engine.unit_of_work import CommandBus, UnitOfWork

_CHOICES = "\n\nChoices (answer with a number; a yes without words means the first):\n"


def inquiry_id(task_id: TaskId, number: int) -> ApprovalId:
    """Return the approval that is the inquiry of this number, from 0, about a task (UUIDv5)."""
    return ApprovalId(str(uuid5(UUID(task_id), f"inquiry:{number}")))


async def inquiries_of(source: CommandBus | UnitOfWork, task_id: TaskId) -> Sequence[Approval]:
    """Return the inquiries about a task, oldest first. A unit is not recorded if another one is made meanwhile."""
    asked: list[Approval] = []
    while True:
        approval = await source.get(APPROVAL, inquiry_id(task_id, len(asked)))
        if approval is None:
            return asked
        asked.append(approval)


async def withdraw_inquiries(unit: UnitOfWork, task_id: TaskId, reason: str) -> None:
    """Withdraw the open inquiries about a task: no agent waits for the answers any more."""
    for approval in await inquiries_of(unit, task_id):
        if approval.status is ApprovalStatus.PENDING:
            await unit.handle(approval.id, WithdrawApproval(reason=reason))


def choices_of(choices: Sequence[str]) -> tuple[str, ...]:
    """Return choices in the form shown to humans: each on one line."""
    return tuple(" ".join(choice.split()) for choice in choices)


def words_with(question: str, choices: Sequence[str]) -> str:
    """Return the text shown to humans: the question with its choices, numbered from 1."""
    lines = "\n".join(f"{number}. {choice}" for number, choice in enumerate(choices, 1))
    return f"{question}{_CHOICES}{lines}" if choices else question


def choice_of(approval: Approval) -> str | None:
    """Return the choice that answers an inquiry; None without choices, or if the answer is not one of them."""
    choices = approval.choices
    if not choices or not approval.granted:
        return None
    said = (approval.feedback or "1").strip().rstrip(".")
    if said.isascii() and said.isdecimal():
        return choices[int(said) - 1] if len(said) < 4 and 1 <= int(said) <= len(choices) else None
    return next((choice for choice in choices if choice.rstrip(".").casefold() == said.casefold()), None)
