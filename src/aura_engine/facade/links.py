"""Links: what opens a question from an inbox; their pages, and the answers that these send."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import anyio
import attrs

from aura_contracts.actors import human
from aura_contracts.approval import (
    APPROVAL,
    AnswerSource,
    Approval,
    ApprovalDecision,
    Approve,
    Channel,
    IssuedLink,
    Reject,
    RequestChanges,
    RevokeLinks,
)
from aura_contracts.errors import AmbiguousId
from aura_contracts.ports.read_models import ApprovalQuery
from aura_engine import decisions
from aura_engine.approval_links.addresses import token_in
from aura_engine.approval_links.issuer import LinkInfo, link_info
from aura_engine.approval_links.link_page import AskedQuestion, LinkPage, asked_question, page_of
from aura_engine.approval_links.tokens import OpenedToken, form_of, link_in, open_token, require_form
from aura_engine.facade.answers import carry_out
from aura_engine.facade.arguments import Kept
from aura_engine.facade.core import Core
from aura_engine.facade.gate import gated
from aura_engine.facade.noun import Noun
from aura_engine.unit_of_work import not_found

if TYPE_CHECKING:
    from aura_engine.facade.approvals import Approvals


@gated
@attrs.frozen
class Links:
    """Links to questions, issued with `approvals.link`. A link is named by its URL or token, or by its id or a part.

    For a server: answer GET and HEAD with `page`, which changes nothing, and POST with `answer`.
    """

    _core: Core
    _approvals: ClassVar["Noun[Approvals]"] = Noun()

    async def list(self, approval: str | None = None) -> Sequence[LinkInfo]:
        """Return the links to a question, or else to all open ones, oldest first."""
        now = self._core.bus.clock()
        asked = await self._open() if approval is None else [await self._core.load(APPROVAL, approval)]
        return [link_info(one, link, now) for one in asked for link in one.links]

    async def get(self, link: str) -> LinkInfo:
        """Return a link. Raises `AggregateNotFound`, `AmbiguousId`, and `LinkRefused` for a URL that is not genuine."""
        approval, found = await self._find(link)
        return link_info(approval, found, self._core.bus.clock())

    async def url(self, link: str, *, base_url: str | None = None, by: str | None = None) -> str:
        """Return the URL that opens a link, to the person whom the link was made out to.

        Raises `ActorNotAllowed` for anyone else: with the URL of another person's link they could answer for both.
        Raises `InvalidInput` unless `base_url`, or AURA_BASE_URL, says where its page is.
        """
        actor = await self._core.require_member("link", "url", "url", by)
        approval, found = await self._find(link)
        async with self._core.refusals_recorded():
            decisions.require_link_holder(approval, found, actor)
        return await self._core.link_issuer(base_url).url(approval, found)

    async def page(self, link: str) -> LinkPage:
        """Return what a link shows, by its URL or token. Changes nothing: opening a link answers nothing.

        A link that does not answer any more has a page all the same, which says why, and who has decided what. Raises
        `LinkRefused` for one that was not issued here, or was changed.
        """
        opened = await self._opened(link)
        approval, found = await self._linked(opened)
        now = self._core.bus.clock()
        newer, diff = None, ""
        if found.is_alive(now):
            newer = await self._newer(approval, found)
            diff = "" if newer is not None else await self._approvals.diff(approval.id)
        return page_of(approval, found, now, form_of(opened), diff, newer)

    async def answer(
        self,
        link: str,
        form: str,
        decision: ApprovalDecision | str,
        feedback: Kept[str | None] = None,
        *,
        source: Kept[AnswerSource | None] = None,
    ) -> Approval:
        """Answer with a link, once, on behalf of the human whom it was made out to; return the approval.

        `form` is that of the page, without which a link answers nothing. The answer is about the commits that the page
        shows, and counts under the rules of `approvals.approve`, which has the same errors. A link that was used, was
        revoked, has expired, or whose seat has voted raises `RuleViolated`, one that is not genuine `LinkRefused`.
        `source` is where the answer comes from: the address of the browser, say.
        """
        self._core.bus.require_writable()
        opened = await self._opened(link)
        require_form(opened, form)
        approval, found = await self._linked(opened)
        seen: dict[str, Any] = {
            "commits": approval.commits,
            "source": source or AnswerSource(channel=Channel.LINK),
            "link": found.id,
        }
        command: Approve | Reject | RequestChanges
        match ApprovalDecision(decision):
            case ApprovalDecision.APPROVED:
                command = Approve(feedback=feedback, **seen)
            case ApprovalDecision.REJECTED:
                command = Reject(feedback=feedback or "", **seen)
            case ApprovalDecision.NEEDS_CHANGES:
                command = RequestChanges(feedback=feedback or "", **seen)
        return await carry_out(self._core, approval.id, command, human(found.reviewer))

    async def revoke(self, link: str, reason: Kept[str] = "", *, by: str | None = None) -> LinkInfo:
        """Revoke a link: it neither shows nor answers its question any more. One that was used stays as it is."""
        approval, found = await self._find(link)
        command = RevokeLinks(links=(found.id,), reason=reason)
        revoked = await self._core.bus.handle(self._core.actor(by), approval.id, command)
        return link_info(revoked, revoked.link(found.id) or found, self._core.bus.clock())

    async def revoke_all(self, approval: str, reason: Kept[str] = "", *, by: str | None = None) -> Sequence[LinkInfo]:
        """Revoke all links to a question that could still be used; return all that it has."""
        revoked = await self._core.handle(APPROVAL, approval, RevokeLinks(reason=reason), by)
        return [link_info(revoked, link, self._core.bus.clock()) for link in revoked.links]

    async def rotate_keys(self, *, lost: bool = False, by: str | None = None) -> int:
        """Sign links with a new key from now on; return its number. Links that were issued still open.

        If the other keys are `lost` to someone else, they are removed: no link that was issued opens any more. A key
        that is older than any link can be is removed in any case. Raises `ActorNotAllowed` for an agent that says so.
        """
        actor = await self._core.require_member("link", "keys", "rotate_keys", by)
        if lost:
            async with self._core.refusals_recorded():
                decisions.require_key_owner(actor)
        key = await anyio.to_thread.run_sync(lambda: self._core.link_keys.rotate(lost=lost))
        return key.number

    # --- Finding ------------------------------------------------------------------------------------------------------

    async def _opened(self, text: str) -> OpenedToken:
        """Return the genuine token that `text` is or contains. Raises `LinkRefused`."""
        return await anyio.to_thread.run_sync(open_token, self._core.link_keys, token_in(text))

    async def _linked(self, opened: OpenedToken) -> tuple[Approval, IssuedLink]:
        """Return the question that a token names as it is stored now, and the link. Raises `LinkRefused`."""
        approval = await self._core.bus.fetch(APPROVAL, opened.approval_id)
        return link_in(approval, opened)

    async def _find(self, text: str) -> tuple[Approval, IssuedLink]:
        """Return the link that `text` names, and its question: by its URL, or among those to open questions."""
        if "/" in text or "." in text:
            return await self._linked(await self._opened(text))
        found = [
            (approval, link)
            for approval in await self._open()
            for link in approval.links
            if link.id.startswith(text) or link.id.endswith(text)
        ]
        if len(found) > 1:
            raise AmbiguousId(kind="link", text=text, candidates=tuple(link.id for _, link in found))
        if not found:
            raise not_found("link", text)
        return found[0]

    async def _open(self) -> Sequence[Approval]:
        """Return the open questions, oldest first."""
        query = ApprovalQuery(pending=True, descending=False, limit=1000)
        return [one async for one in self._core.reads.rows(query)]

    async def _newer(self, approval: Approval, link: IssuedLink) -> AskedQuestion | None:
        """Return the open question about the same work with other commits, if the link's holder is asked it too."""
        if approval.task_id is None or not approval.final:
            return None
        query = ApprovalQuery(pending=True, task=approval.task_id, kind=approval.kind, limit=1)
        for one in (await self._core.reads.list(query)).rows:
            if one.commits != approval.commits and link.reviewer in one.awaited_at(self._core.bus.clock()):
                return asked_question(one, await self._approvals.diff(one.id))
        return None
