"""Channels: those that people name, and what serves them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

import aura_notify
from aura_contracts.errors import DeliveryRefused
from aura_contracts.ports.notifications import NotificationChannel
from aura_contracts.settled_files import read_settled
from aura_engine.facade.core import Core
from aura_engine.host import Host
from aura_engine.notification.answer_links import AnswerLinks
from aura_engine.notification.notifier import LOCK, Notifier
from aura_engine.notification.settings import ChannelSettings, load_settings
from aura_notify.http import HttpSender
from aura_notify.masked import MaskedChannel, secrets_mask

SECRET_LIMIT = 64 * 1024
"""Bytes of a file with a secret that are read."""


def notifier_of(core: Core, host: Host, home: Path) -> Notifier:
    """Return what serves the notifications that the settings in `home` ask for. Raises `InvalidFile`."""
    opener = ChannelOpener(host, home)
    return Notifier(
        bus=core.bus,
        reads=core.reads,
        turn=core.turn_of(LOCK),
        settings=load_settings(home),
        open_channel=opener.open,
        random=host.random,
        links=AnswerLinks(core.bus, core.link_issuer()) if core.base_url else None,
    )


@attrs.frozen
class ChannelOpener:
    """Makes channels from their settings; looks up secrets, which are nowhere else."""

    host: Host
    home: Path

    def open(self, settings: ChannelSettings) -> NotificationChannel:
        """Return a channel that tells no secrets. Reads files.

        Raises `DeliveryRefused` for a secret that is not where it should be.
        """
        name, given = settings.name, settings.options
        urls = [self._secret(name, one) for one in (given.get("url"), *(given.get("urls") or ())) if one]
        login = given.get("login") or ""
        secrets = [self._secret(name, one) for one in (given.get("password"), *(given.get("secret") or ())) if one]
        secrets += [f"\0{login}\0{one}" for one in secrets if login]  # what is sent to log in, before its base64
        return MaskedChannel(name, self._open(settings), secrets_mask(urls, secrets))

    def _open(self, settings: ChannelSettings) -> NotificationChannel:  # noqa: PLR0911 - one for each kind
        name, given = settings.name, settings.options
        match settings.kind:
            case "smtp":
                return self._smtp(name, given)
            case "webhook":
                secrets = tuple(self._secret(name, one) for one in given["secret"] or ())
                return aura_notify.WebhookChannel(self._sender(name, given), self.host.clock, secrets)
            case "slack":
                return aura_notify.SlackChannel(self._sender(name, given))
            case "file":
                return aura_notify.FileChannel(name, self._path(given["path"]))
            case "terminal":
                return aura_notify.TerminalChannel(name, given["bell"])
            case "desktop":
                return aura_notify.DesktopChannel(name, self.host.environment)
        return aura_notify.AppriseChannel(name, tuple(self._secret(name, one) for one in given["urls"]))

    def _smtp(self, name: str, given: Mapping[str, Any]) -> NotificationChannel:
        password = given["password"]
        return aura_notify.SmtpChannel(
            channel=name,
            host=given["host"],
            sender=given["sender"],
            port=given["port"],
            security=given["security"],
            login=given["login"] or "",
            password="" if password is None else self._secret(name, password),
            ca=given["ca"],
        )

    def _sender(self, name: str, given: Mapping[str, Any]) -> HttpSender:
        return HttpSender(name, self._secret(name, given["url"]), private=given["private"], ca=given["ca"])

    def _path(self, given: str) -> Path:
        """Return a path; relative ones are in AURA's folder."""
        return self.home / Path(given).expanduser()

    def _secret(self, channel: str, reference: str) -> str:
        """Return what a reference stands for; any other text stands for itself."""
        kind, _, name = reference.partition(":")
        if kind == "env":
            value = self.host.environment.get(name, "")
            reason, remedy = f"{name} is not set", f"set {name} in the environment of AURA"
        elif kind == "file":
            path = self._path(name)
            reason, remedy = f"{path} is empty", "put the secret there"
            try:
                value = read_settled(path, SECRET_LIMIT).decode().strip()
            except (OSError, ValueError) as error:
                value, reason = "", f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}"
        else:
            return reference
        if not value:
            raise DeliveryRefused(channel=channel, reason=reason, remedy=remedy)
        return value
