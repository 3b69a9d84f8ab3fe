"""Links: to whom they are issued, and what has to hold for an answer that is given with one."""

from datetime import datetime, timedelta

from msgspec.structs import replace

from aura_contracts.actors import Actor, actor_kind, actor_name, human, is_person, not_a_person
from aura_contracts.approval import (
    LINK_LIFETIME,
    AnswerApproval,
    Approval,
    IssuedLink,
    IssueLink,
    Link,
    LinkIssued,
    LinkPurpose,
    LinksRevoked,
)
from aura_contracts.approval import RevokeLinks as Revoke
from aura_contracts.errors import ActorNotAllowed
from aura_contracts.quoting import is_visible
from aura_engine.decisions._decider import Context, Events, NotAllowed, RuleBroken, is_human, is_system, require_zone
from aura_engine.decisions._late_answer import require_before_deadline
from aura_engine.decisions._seats import require_open_seat, require_seat, waits_for

LINK_LIMIT = 1_000
"""The most links to one question."""

ADDRESS_LIMIT = 320
"""Characters; an e-mail address has no more (RFC 3696, section 3, before erratum 1690)."""

_ANOTHER = "ask AURA for another link"
_ASK_THEM = "ask them to get one, or to delegate to you"


def require_own_link(state: Approval, command: IssueLink, context: Context) -> None:
    """Only AURA asks for links of others: who had one of another person could answer for both."""
    if not is_person(command.reviewer):
        raise RuleBroken("reviewer", *not_a_person(command.reviewer))
    if not is_system(context):
        if not is_human(context):
            raise NotAllowed("seat", "a link answers for a human", f"leave it to {waits_for(state, context)}")
        if actor_name(context.actor) != command.reviewer:
            raise NotAllowed("own_link", _not_theirs(command.reviewer), _ASK_THEM)
    if command.purpose is LinkPurpose.ANSWER:
        require_seat(state, command, replace(context, actor=human(command.reviewer)))


def require_link_holder(approval: Approval, link: IssuedLink, actor: Actor) -> None:
    """The same for the URL of a link that was issued. Raises `ActorNotAllowed`."""
    if actor_kind(actor) != "system" and actor != human(link.reviewer):
        raise ActorNotAllowed(
            aggregate="approval",
            aggregate_id=approval.id,
            command="link_url",
            actor=actor,
            rule="own_link",
            reason=_not_theirs(link.reviewer),
            remedy=_ASK_THEM,
        )


def require_key_owner(actor: Actor) -> None:
    """Only a human closes all links that were issued. Raises `ActorNotAllowed`."""
    if actor_kind(actor) != "human":
        raise ActorNotAllowed(
            aggregate="link",
            aggregate_id="keys",
            command="rotate_keys",
            actor=actor,
            rule="only_humans",
            reason="without the lost keys no link that was issued opens any more, which a human decides",
            remedy="ask a human to do it",
        )


def _not_theirs(reviewer: str) -> str:
    return f"a link answers for {reviewer}, and only they may have it"


def issue(state: Approval, command: IssueLink, context: Context) -> Events:
    """Issue a link for the seat that an answer of the reviewer would count for now."""
    require_before_deadline(state, command, context)
    _require_life(command.expires_at, context)
    _require_address(command.address)
    if state.link(command.link_id) is not None:
        raise RuleBroken("link_id", f"there is a link {command.link_id} already", "give it another id")
    if len(state.links) >= LINK_LIMIT:
        raise RuleBroken("links", f"a question has at most {LINK_LIMIT} links", "use one of those")
    answers = command.purpose is LinkPurpose.ANSWER
    link = Link(
        id=command.link_id,
        reviewer=command.reviewer,
        seat=require_open_seat(state, command.reviewer, context) if answers else "",
        purpose=command.purpose,
        address=command.address,
        expires_at=command.expires_at,
    )
    return [LinkIssued(link=link)]


def _require_life(expires_at: datetime, context: Context) -> None:
    require_zone("expires_at", expires_at)
    if not timedelta(0) < expires_at - context.now <= LINK_LIFETIME:
        reason = f"{expires_at.isoformat()} is not within {LINK_LIFETIME.days} days from now"
        raise RuleBroken("expires_at", reason, "give a later time, or an earlier one")


def _require_address(address: str) -> None:
    if len(address) > ADDRESS_LIMIT or (address and not is_visible(address)):
        reason = f"an address is one line of up to {ADDRESS_LIMIT} characters that can be seen"
        raise RuleBroken("address", reason, "give an e-mail address")


def revoke(state: Approval, command: Revoke, context: Context) -> Events:
    """Revoke those that could still be used."""
    if unknown := [link_id for link_id in command.links if state.link(link_id) is None]:
        raise RuleBroken("link_unknown", f"there is no link {unknown[0]} to it", "`links.list()` lists them")
    usable = (link.id for link in state.links if link.revoked_at is None and state.vote_by(link.id) is None)
    revoked = tuple(link_id for link_id in usable if not command.links or link_id in command.links)
    return [LinksRevoked(links=revoked, reason=command.reason)] if revoked else []


def why_over(link: IssuedLink, now: datetime) -> RuleBroken | None:
    """Return why a link neither shows nor answers a question any more; None if it does."""
    if link.revoked_at is not None:
        return RuleBroken("link_revoked", f"the link was revoked at {link.revoked_at.isoformat()}", _ANOTHER)
    if not link.is_alive(now):
        return RuleBroken("link_expired", f"the link has expired at {link.expires_at.isoformat()}", _ANOTHER)
    return None


def seat_of_link(state: Approval, command: AnswerApproval, name: str, context: Context) -> str:
    """Return the seat that an answer with a link counts for. Refuses a link that does not answer, or not any more."""
    link = state.link(command.link)
    if link is None:
        raise RuleBroken("link_unknown", f"there is no link {command.link} to it", _ANOTHER)
    if link.reviewer != name:
        reason = f"the link answers for {link.reviewer}"
        raise NotAllowed("own_link", reason, "answer without it")
    if link.purpose is not LinkPurpose.ANSWER:
        raise RuleBroken("link_purpose", "the link shows the question, and answers nothing", _ANOTHER)
    if (vote := state.vote_by(link.id)) is not None:
        reason = f"the link has answered {vote.decision} at {vote.time.isoformat()}, and it answers once"
        raise RuleBroken("link_used", reason, "that answer counts and is not replaced")
    if (over := why_over(link, context.now)) is not None:
        raise over
    require_open_seat(state, name, context)  # which says how they have voted
    if link.seat not in state.open_seats or link.seat not in state.seats_of(name, context.now):
        reason = f"the link answers for the seat of {link.seat}, which {name} does not hold any more"
        raise RuleBroken("link_seat", reason, f"it waits for {waits_for(state, context)}")
    return link.seat
