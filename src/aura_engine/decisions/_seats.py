"""Seats: who may answer a question now, for whom, and to whom they may delegate it."""

from aura_contracts.actors import actor_name
from aura_contracts.aggregate import Command
from aura_contracts.approval import Approval, Entitlement
from aura_engine.decisions._decider import Context, NotAllowed, RuleBroken, is_human, require_people


def waits_for(state: Approval, context: Context) -> str:
    """Return in words whose answer would count now."""
    return ", ".join(state.awaited_at(context.now))


def require_seat(state: Approval, command: Command[Approval], context: Context) -> None:
    """Only humans who are asked now, or act for one who is, decide or delegate."""
    name, waits = actor_name(context.actor), waits_for(state, context)
    if not is_human(context):
        raise NotAllowed("seat", f"only humans decide, and it waits for {waits}", f"leave it to {waits}")
    if state.seats_of(name, context.now):
        return
    delegate = f"approvals.delegate({state.id!r}, to={name!r})"
    if name in state.barred:
        reason = f"no one decides about what they asked for or wrote themselves, and it waits for {waits}"
        raise NotAllowed("self_approval", reason, f"leave it to {waits}")
    if seats := state.seats_of(name):
        owners = ", ".join(seats)
        raise NotAllowed("delegation_ended", "what was delegated to them has ended", f"ask {owners} for it: {delegate}")
    for number, level in enumerate(state.stages, 1):
        if name in level.reviewers and number > state.level:
            reason = f"they are asked at level {number}, and it is level {state.level} that decides now"
            raise NotAllowed("level", reason, f"answer when {waits} have approved")
    for level in state.stages[: state.level - 1]:
        if name in level.reviewers:
            raise NotAllowed("level", f"their level has approved, and level {state.level} decides now", f"ask {waits}")
    reason = f"it waits for {waits}; only a reviewer, a delegate or an escalation contact may decide"
    raise NotAllowed("seat", reason, f"one of them may delegate it: {delegate}")


def require_open_seat(state: Approval, name: str, context: Context) -> str:
    """Return an unused seat of `name`. Each human and each seat has one vote."""
    waits = f"it waits for {waits_for(state, context)}"
    for vote in state.votes:
        if vote.reviewer == name:
            reason = f"{name} has voted ({vote.decision} at {vote.time.isoformat()}), and a vote is not replaced"
            raise RuleBroken("already_voted", reason, waits)
    seats = state.seats_of(name, context.now)
    for seat in seats:
        if seat in state.open_seats:
            return seat
    used = {vote.seat: vote.reviewer for vote in state.level_votes}
    reason = f"{used[seats[0]]} has voted with the vote of {seats[0]} already"
    raise RuleBroken("delegation_used", reason, waits)


def entitlement(state: Approval, name: str, seat: str) -> Entitlement:
    """Return the rule by which a human may vote for a seat."""
    if name != seat:
        return Entitlement.DELEGATION
    return Entitlement.ESCALATION if seat in state.escalated_to else Entitlement.REVIEWER


def require_delegate(state: Approval, delegator: str, delegate: str, context: Context) -> None:
    """Require a person with a name, who gets no second vote by it, now or at a later level."""
    another = "name another person"
    require_people("delegate", [delegate])
    if delegate in state.barred:
        raise RuleBroken("self_approval", f"{delegate} asked for this work and may not decide about it", another)
    if delegate == delegator:
        raise RuleBroken("delegation_loop", f"{delegator} would delegate to themselves", another)
    onward = state.holders(delegate, context.now)
    if delegator in onward:
        circle = " > ".join((*onward[: onward.index(delegator) + 1], delegate))
        reason = f"the delegation would go in a circle: {circle}"
        raise RuleBroken("delegation_loop", reason, "name a person who is not part of it")
    if state.seats_of(delegate, context.now) or any(delegate in level.reviewers for level in state.stages):
        reason = f"{delegate} may decide already"
        raise RuleBroken("delegate_may_decide", reason, "delegate to a person who may not decide yet")
    if any(vote.reviewer == delegate for vote in state.votes):
        raise RuleBroken("delegate_has_voted", f"{delegate} has voted, and no one votes twice", another)
