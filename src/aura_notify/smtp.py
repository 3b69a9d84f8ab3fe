"""SMTP: e-mail, by the standard library in a thread.

The message is the same at every attempt, with the same Message-ID, by which mail programs drop what they receive twice.
Messages about one thing refer to it, so that they are shown together (RFC 5322, section 3.6.4).
"""

import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape
from typing import Literal

import attrs

from aura_contracts.errors import DeliveryFailed, DeliveryRefused
from aura_contracts.notification import OutgoingMessage
from aura_contracts.ports.notifications import NotificationChannel
from aura_contracts.quoting import one_line
from aura_notify.blocking import Threads

Security = Literal["starttls", "tls", "none"]

PORTS: dict[Security, int] = {"starttls": 587, "tls": 465, "none": 25}
"""The usual ports."""

ANSWER_TIMEOUT = 60.0
"""Seconds for one answer: a thread that was left ends after that, even where its connection cannot be cut."""


@attrs.frozen(kw_only=True)
class SmtpChannel(NotificationChannel):
    """Sends e-mail through a server, with a connection for each message."""

    channel: str
    host: str
    sender: str
    """The address in From."""
    port: int | None = None
    security: Security = "starttls"
    login: str = ""
    password: str = attrs.field(default="", repr=False)
    ca: str | None = None
    """A file of certificates to trust."""
    _threads: Threads = attrs.field(factory=Threads, init=False)

    async def send(self, message: OutgoingMessage) -> None:
        if not message.address:
            reason, remedy = f"{message.recipient} has no address", "give the person an address at this channel"
            raise DeliveryRefused(channel=self.channel, reason=reason, remedy=remedy)
        connection = _SmtpConnection()
        try:
            await self._threads.run(lambda: self._deliver(connection, message))
        finally:
            connection.cut()

    def _deliver(self, connection: "_SmtpConnection", message: OutgoingMessage) -> None:
        with self._errors(), connection:
            connection.open(self)
            connection.send_message(email_of(message, self.sender), self.sender, [message.address])

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn the errors of the library into those of a channel."""
        try:
            yield
        except smtplib.SMTPRecipientsRefused as error:
            code, said = next(iter(error.recipients.values()))
            raise self._error(code, said) from error
        except smtplib.SMTPResponseException as error:
            raise self._error(error.smtp_code, error.smtp_error) from error
        except smtplib.SMTPNotSupportedError as error:
            raise DeliveryRefused(channel=self.channel, reason=one_line(str(error))) from error
        except ValueError as error:  # an address or a name that no message can hold
            raise DeliveryRefused(channel=self.channel, reason=one_line(str(error))) from error
        except (smtplib.SMTPException, OSError, EOFError) as error:
            reason = one_line(str(error) or type(error).__name__)
            raise DeliveryFailed(channel=self.channel, reason=reason) from error

    def _error(self, code: int, said: bytes | str) -> DeliveryFailed:
        """Return the error for a reply: 4yz may be retried, 5yz not (RFC 5321, section 4.2.1)."""
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
        kind = DeliveryRefused if 500 <= code < 600 else DeliveryFailed
        return kind(channel=self.channel, reason=f"the server answered {code} {one_line(text)}")


class _SmtpConnection(smtplib.SMTP):
    """A connection that another thread can cut."""

    def __init__(self) -> None:
        super().__init__(timeout=ANSWER_TIMEOUT)
        self._context: ssl.SSLContext | None = None
        self._cut = False

    def open(self, channel: SmtpChannel) -> None:
        """Connect, secure the connection as the channel says, and log in."""
        context = None if channel.security == "none" else ssl.create_default_context(cafile=channel.ca)
        self._context = context if channel.security == "tls" else None
        self._host = channel.host  # the library compares the certificate with it
        self.connect(channel.host, channel.port or PORTS[channel.security])
        if channel.security == "starttls":
            self.starttls(context=context)
        if channel.login:
            self.login(channel.login, channel.password)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        found: socket.socket = super()._get_socket(host, port, timeout)  # type: ignore[misc]  # of the library's own
        if self._context is not None:
            self.sock = found
            found = self._context.wrap_socket(found, server_hostname=host)
        if self._cut:
            found.close()
            raise ConnectionAbortedError("the message was abandoned")
        return found

    def cut(self) -> None:
        """End whatever the connection waits for."""
        self._cut = True
        if (found := self.sock) is not None:
            with suppress(OSError):
                found.shutdown(socket.SHUT_RDWR)

    def __exit__(self, *raised: object) -> None:
        """Say goodbye; what the server answers to that changes nothing any more."""
        with suppress(smtplib.SMTPException, OSError):
            if raised[0] is None:
                self.docmd("QUIT")
        self.close()


def email_of(message: OutgoingMessage, sender: str) -> EmailMessage:
    """Return a message as e-mail: plain text, and the same in HTML. Raises `ValueError` for an unsuitable address."""
    domain = sender.rpartition("@")[2].rstrip(">") or "localhost"
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"] = sender, message.address
    mail["Subject"] = one_line(message.subject)
    mail["Date"] = format_datetime(message.time)
    mail["Message-ID"] = f"<{message.key}@{domain}>"
    if message.thread:
        mail["In-Reply-To"] = mail["References"] = f"<{message.thread}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no one's absence notice answers it
    mail.set_content(message.text)
    page = f'<!doctype html><meta charset="utf-8"><pre style="white-space: pre-wrap">{escape(message.text)}</pre>\n'
    mail.add_alternative(page, subtype="html")
    return mail
