"""Issuer: a link is recorded, and the URL that opens it is derived from what was recorded and the key."""

from datetime import datetime, timedelta
from enum import StrEnum

import anyio
import attrs
from msgspec.structs import asdict

from aura_contracts.actors import Actor
from aura_contracts.approval import Approval, IssuedLink, IssueLink, LinkPurpose
from aura_contracts.errors import InvalidInput
from aura_contracts.events import Instant
from aura_contracts.ids import ApprovalId
from aura_contracts.plain_data import Plain
from aura_engine.approval_links.addresses import base_url_of, url_of
from aura_engine.approval_links.keys import LinkKeys
from aura_engine.approval_links.tokens import token_of
from aura_engine.unit_of_work import CommandBus

LIFETIME = timedelta(days=3)
"""How long a link lives unless its issuer says otherwise: until the reminder and the escalation were sent."""


class LinkStatus(StrEnum):
    OPEN = "open"
    """It does what its purpose says."""
    USED = "used"
    REVOKED = "revoked"
    EXPIRED = "expired"
    CLOSED = "closed"
    """The question was decided or withdrawn, or has expired: there is nothing to answer."""


class LinkInfo(IssuedLink, Plain, frozen=True, kw_only=True):
    """A link, the question that it opens, and its status."""

    approval_id: ApprovalId
    status: LinkStatus
    used_at: Instant | None = None


class NewLink(LinkInfo, frozen=True, kw_only=True):
    """A link with the URL that opens it, which is as secret as a password until the link is used or has expired."""

    url: str


def link_info(approval: Approval, link: IssuedLink, now: datetime) -> LinkInfo:
    """Return a link as of `now`."""
    vote = approval.vote_by(link.id)
    return LinkInfo(
        **asdict(link),
        approval_id=approval.id,
        status=_status(approval, link, now),
        used_at=None if vote is None else vote.time,
    )


def _status(approval: Approval, link: IssuedLink, now: datetime) -> LinkStatus:
    if approval.vote_by(link.id) is not None:
        return LinkStatus.USED
    if link.revoked_at is not None:
        return LinkStatus.REVOKED
    if not link.is_alive(now):
        return LinkStatus.EXPIRED
    return LinkStatus.CLOSED if approval.final else LinkStatus.OPEN


@attrs.frozen
class LinkIssuer:
    """Issues links on a log. `base_url` is where their pages are; None if no one said so."""

    bus: CommandBus
    keys: LinkKeys
    base_url: str | None = None

    async def issue(
        self,
        actor: Actor,
        approval_id: ApprovalId,
        reviewer: str,
        *,
        purpose: LinkPurpose = LinkPurpose.ANSWER,
        address: str = "",
        expires_at: datetime | None = None,
        link_id: str | None = None,
    ) -> NewLink:
        """Issue a link for a human who is asked. AURA itself may do so for each of them, a human for themselves.

        `link_id`, a UUID, is for those who issue it again if they are not sure that they have; by default a new one.

        Raises `InvalidInput` without a base URL, before anything is recorded, and `CommandRefused`.
        """
        base_url = self.require_base_url()
        link_id, ends = link_id or self.bus.ids(), expires_at or self.bus.clock() + LIFETIME
        command = IssueLink(link_id=link_id, reviewer=reviewer, expires_at=ends, purpose=purpose, address=address)
        approval = await self.bus.handle(actor, approval_id, command)
        link = approval.link(link_id)
        assert link is not None, "it was issued just now"
        url = await self._url(base_url, approval, link)
        return NewLink(**asdict(link_info(approval, link, self.bus.clock())), url=url)

    async def url(self, approval: Approval, link: IssuedLink) -> str:
        """Return the URL of a link again, for another attempt to send it. It is signed with the key of today."""
        return await self._url(self.require_base_url(), approval, link)

    async def _url(self, base_url: str, approval: Approval, link: IssuedLink) -> str:
        key = await anyio.to_thread.run_sync(self.keys.current)
        return url_of(base_url, token_of(key, approval, link))

    def require_base_url(self) -> str:
        """Return the base URL. Raises `InvalidInput`."""
        if not self.base_url:
            remedy = "set AURA_BASE_URL to the address at which its pages are reached, such as https://aura.example.org"
            raise InvalidInput(field="base_url", reason="no one said where links lead to", remedy=remedy)
        return base_url_of(self.base_url)
