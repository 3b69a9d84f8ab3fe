"""Signed tokens: texts that this installation hands out, and recognises when they come back. Pure.

    form = TokenFormat("aura1", b"aura task token 1\\0")
    token = form.token(secret, payload)
    form.is_genuine(secret, token)

A token is ``VERSION.PAYLOAD.MAC``: the payload, then HMAC-SHA256 over a purpose and the payload (RFC 2104), each in
URL-safe base64 without padding (RFC 4648, section 5). The payload can be read by anyone. Each payload has one token for
a secret, to the letter: one with other unused bits, with characters that base64 skips or with padding is another text,
and refused. The purpose keeps what was signed for one thing from passing as another.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256

import attrs

SECRET_LENGTH = 32
"""Bytes of a secret."""


@attrs.frozen
class TokenFormat:
    """A kind of tokens."""

    version: str
    """The first part, by which people and programs tell kinds of tokens apart."""
    purpose: bytes

    def token(self, secret: bytes, payload: bytes) -> str:
        """Return the token of `payload`; equal payloads have equal tokens."""
        if len(secret) != SECRET_LENGTH:
            raise ValueError(f"a secret has {SECRET_LENGTH} bytes, not {len(secret)}")
        return f"{self.version}.{_text(payload)}.{_text(hmac.digest(secret, self.purpose + payload, sha256))}"

    def payload_of(self, token: str) -> bytes:
        """Return what a token says, genuine or not; empty if that cannot be read."""
        version, _, rest = token.partition(".")
        if version != self.version:
            return b""
        text = rest.partition(".")[0]
        try:
            return urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except ValueError:
            return b""

    def is_genuine(self, secret: bytes, token: str) -> bool:
        """Whether `token` is, to the letter, the one that was made of its payload with this secret."""
        made = self.token(secret, self.payload_of(token))
        return hmac.compare_digest(made.encode(), token.encode("utf-8", "surrogatepass"))


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
