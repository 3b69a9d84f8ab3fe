"""Tokens: what opens a link. Pure.

A token names the key, the question and the link, and a digest of the terms on which the link was issued: for whom, for
which seat and purpose, until when, sent where, and about which commits. What the log says of the link later has to be
the same, so that a change of the log does not make more of a link than it was.

The token of a link's form is one of another kind, with the same payload: the page has it, the link does not. Who only
has the link, and has not opened its page, has nothing to send.
"""

from hashlib import sha256
from uuid import UUID

import attrs
import msgspec

from aura_contracts.approval import Approval, IssuedLink, Link
from aura_contracts.errors import LinkRefused
from aura_contracts.ids import ApprovalId
from aura_engine.approval_links.keys import LinkKey, LinkKeys
from aura_engine.signed_tokens import TokenFormat

_LINK = TokenFormat("link1", b"aura link 1\0")
_FORM = TokenFormat("form1", b"aura form of a link 1\0")

_LENGTH = 2 + 16 + 16 + 16
"""Bytes of a payload: the key's number, both ids, and the digest of the terms."""

_LONGEST = 200
"""Characters; longer texts are not looked at."""

_UNKNOWN = "it was not issued here, is cut, or was changed"


@attrs.frozen
class OpenedToken:
    """A genuine token: what it names."""

    approval_id: ApprovalId
    link_id: str
    terms: bytes
    key: LinkKey
    payload: bytes


def token_of(key: LinkKey, approval: Approval, link: Link) -> str:
    """Return the token of a link; the same for the same key."""
    ids = UUID(approval.id).bytes + UUID(link.id).bytes
    return _LINK.token(key.secret, key.number.to_bytes(2) + ids + terms_digest(approval, link))


def terms_digest(approval: Approval, link: Link) -> bytes:
    """Return 16 bytes that stand for the terms of a link."""
    terms = (
        approval.id,
        link.id,
        link.reviewer,
        link.seat,
        link.purpose,
        link.address,
        link.expires_at,
        sorted(approval.commits.items()),
    )
    return sha256(msgspec.json.encode(terms)).digest()[:16]


def open_token(keys: LinkKeys, token: str) -> OpenedToken:
    """Return what a token names. Raises `LinkRefused` for one that was not signed with a key of this installation.

    Looks at the keys alone: a forged token costs no look at the store.
    """
    payload = _LINK.payload_of(token) if len(token) <= _LONGEST else b""
    if len(payload) != _LENGTH:
        raise LinkRefused(reason=_UNKNOWN)
    key = keys.get(int.from_bytes(payload[:2]))
    if key is None or not _LINK.is_genuine(key.secret, token):
        raise LinkRefused(reason=_UNKNOWN)
    return OpenedToken(
        approval_id=ApprovalId(str(UUID(bytes=payload[2:18]))),
        link_id=str(UUID(bytes=payload[18:34])),
        terms=payload[34:],
        key=key,
        payload=payload,
    )


def link_in(approval: Approval | None, opened: OpenedToken) -> tuple[Approval, IssuedLink]:
    """Return the question that a token names and its link, as the log has them.

    Raises `LinkRefused` unless the terms are the same.
    """
    link = None if approval is None else approval.link(opened.link_id)
    if approval is None or link is None:
        raise LinkRefused(reason="the question that it opens is not in this store")
    if terms_digest(approval, link) != opened.terms:
        raise LinkRefused(reason="it was issued on other terms than the store has")
    return approval, link


def form_of(opened: OpenedToken) -> str:
    """Return what the form on the page of a link sends with an answer."""
    return _FORM.token(opened.key.secret, opened.payload)


def require_form(opened: OpenedToken, form: str) -> None:
    """Raise `LinkRefused` for an answer that does not come from the page of this link."""
    genuine = len(form) <= _LONGEST and _FORM.is_genuine(opened.key.secret, form)
    if not genuine or _FORM.payload_of(form) != opened.payload:
        raise LinkRefused(reason="the answer does not come from its page", remedy="open the link, and answer there")
