"""Answer links: what a message about questions gets on its way out, so that its recipient answers where they read it.

A link answers for its recipient, so the log must not have it: the message that is recorded has none, and the one that
is sent begins with them. Each is issued for the recipient's own seat, and recorded by its id, which follows from the
message: another attempt sends the same link. Who only watches, or has answered meanwhile, gets none.
"""

import logging
from collections.abc import AsyncIterator
from uuid import UUID, uuid5

import attrs

from aura_contracts.actors import ENGINE
from aura_contracts.approval import APPROVAL, Approval
from aura_contracts.errors import CommandRefused, InvalidInput, LogDamaged
from aura_contracts.ids import ApprovalId
from aura_contracts.notification import MessageItem, OutgoingMessage
from aura_engine.approval_links.issuer import LinkIssuer
from aura_engine.notification.kinds import NoticeKind
from aura_engine.unit_of_work import CommandBus

_LOG = logging.getLogger(__name__)

_ASKING = (NoticeKind.ASKED, NoticeKind.REMINDER, NoticeKind.ESCALATED)
"""The kinds that want an answer."""

_NAMESPACE = UUID("3f0f3c5e-6a43-5d0c-9d0f-5b7f1f6a8e21")
"""The UUID namespace of the ids of links; never changed."""


@attrs.frozen
class AnswerLinks:
    """Issues the links of messages."""

    bus: CommandBus
    issuer: LinkIssuer

    async def text_for(self, message: OutgoingMessage, channel: str) -> str:
        """Return what a message begins with where it is sent: its links; empty without any.

        Raises `StoreError`. Without a usable address of the pages, or key, there are no links, and none to a
        question whose events are damaged.
        """
        try:
            return "".join([text async for text in self._texts(message, channel)])
        except (InvalidInput, OSError) as error:
            _LOG.warning("notifications have no links to answer with: %s", error)
            return ""

    async def _texts(self, message: OutgoingMessage, channel: str) -> AsyncIterator[str]:
        asking = {item.about: item for item in message.items if item.kind in _ASKING}
        for item in asking.values():
            yield await self._text_about(message, item, channel)

    async def _text_about(self, message: OutgoingMessage, item: MessageItem, channel: str) -> str:
        try:
            approval = await self.bus.fetch(APPROVAL, item.about)
            if approval is None or message.recipient not in approval.awaited_at(self.bus.clock()):
                return ""
            return await self._text(message, item, approval, channel)
        except LogDamaged as damage:  # it must not keep the message from its recipient, nor those behind it
            _LOG.error("no link for %s: %s", message.recipient, damage)
            return ""

    async def _text(self, message: OutgoingMessage, item: MessageItem, approval: Approval, channel: str) -> str:
        link_id, now = str(uuid5(_NAMESPACE, f"{message.key}\n{approval.id}")), self.bus.clock()
        link = approval.link(link_id)
        if link is None:
            try:
                issued = await self.issuer.issue(
                    ENGINE, ApprovalId(approval.id), message.recipient, link_id=link_id, address=f"channel {channel}"
                )
            except CommandRefused as refused:  # it was answered just now, or has too many links
                _LOG.info("no link for %s: %s", message.recipient, refused)
                return ""
            url, until = issued.url, issued.expires_at
        elif link.is_alive(now):
            url, until = await self.issuer.url(approval, link), link.expires_at
        else:
            return ""
        about = f"{item.subject}\n" if message.count > 1 else ""
        return (
            f"{about}Answer as {message.recipient}, once, until {until:%Y-%m-%d %H:%M} UTC; so can anyone who has this"
            f" link:\n{url}\n\n"
        )
