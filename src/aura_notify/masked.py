"""Masking: what a channel tells of a failure is recorded and logged, and the other side may repeat secrets in it."""

import logging
import traceback
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs

from aura_contracts.errors import AuraError, DeliveryFailed, DeliveryRefused
from aura_contracts.notification import OutgoingMessage
from aura_contracts.ports.notifications import NotificationChannel
from aura_contracts.secret_mask import SecretMask
from aura_contracts.secrets import redact_text

_LOG = logging.getLogger(__name__)

SHORTEST = 4
"""Characters of a secret that is masked: in a reason, a word that is masked by chance does no harm."""

_LONG_WORD = 20
"""Characters of a part of an address that is taken for a secret though it has letters of one case alone."""


def secrets_mask(urls: Iterable[str], secrets: Sequence[str] = ()) -> SecretMask:
    """Return the mask for addresses, for what is in them, and for secrets."""
    found = [*secrets, *(part for url in urls for part in _parts(url))]
    return SecretMask([*found, *(b64encode(one.encode()).decode() for one in secrets)], shortest=SHORTEST)


def _parts(url: str) -> Iterator[str]:
    """Yield an address, and what may be secret in it: user, password, path, query, and their parts."""
    yield url
    try:
        parts = urlsplit(url)
        named = (parts.username or "", parts.password or "")
    except ValueError:  # not an address: the whole text is masked, its parts are not
        return
    if parts.scheme not in ("http", "https"):  # an address of Apprise may have a token in the place of a host
        yield from (parts.netloc, parts.netloc.rpartition("@")[2])
    whole = parts.path + (f"?{parts.query}" if parts.query else "")
    values = [value for _, value in parse_qsl(parts.query)]
    for text in (*named, whole, parts.path, parts.path.strip("/"), parts.query, parts.fragment, *values):
        yield from (text, unquote(text))
    for text in parts.path.split("/"):
        if _looks_secret(text):
            yield from (text, unquote(text))


def _looks_secret(text: str) -> bool:
    """Whether a part of a path is more than a word, such as ``services``."""
    return len(text) >= _LONG_WORD or not (text.isalpha() and text[1:].islower())


@attrs.frozen
class MaskedChannel(NotificationChannel):
    """A channel whose errors do not tell its secrets, nor does what is logged of them."""

    name: str
    channel: NotificationChannel
    mask: SecretMask

    def _shown(self, text: str) -> str:
        """Return a text without the secrets of the channel, and of the message: the links in it."""
        return redact_text(self.mask.text(text))

    async def send(self, message: OutgoingMessage) -> None:
        try:
            await self.channel.send(message)
        except DeliveryRefused as error:
            reason, remedy = self._shown(error.reason), self._shown(error.remedy)
            raise DeliveryRefused(channel=self.name, reason=reason, remedy=remedy) from None
        except DeliveryFailed as error:
            reason = self._shown(error.reason)
            raise DeliveryFailed(channel=self.name, reason=reason, retry_after=error.retry_after) from None
        except AuraError as error:
            raise DeliveryRefused(channel=self.name, reason=self._shown(str(error))) from None
        except TimeoutError:
            raise
        except Exception as error:  # noqa: BLE001 - a library may raise anything, with an address in it
            _LOG.error("channel %s\n%s", self.name, self._shown(traceback.format_exc()))
            reason = f"the channel itself failed: {type(error).__name__}"
            raise DeliveryFailed(channel=self.name, reason=reason) from None
