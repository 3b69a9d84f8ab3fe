"""Servers that take notifications, in threads of their own: HTTP and SMTP, well-behaved or not."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anyio
import attrs
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from aura_contracts.quoting import one_line


@attrs.define
class Received:
    """A request that came in."""

    path: str
    headers: dict[str, str]
    body: bytes


@attrs.define
class HttpServer:
    """A server that answers POSTs in turn; the last answer is given again and again."""

    url: str
    received: list[Received] = attrs.field(factory=list)
    answers: list[tuple[int, dict[str, str], bytes]] = attrs.field(factory=lambda: [(204, {}, b"")])

    def next_answer(self) -> tuple[int, dict[str, str], bytes]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def http_server(context: ssl.SSLContext | None = None) -> Iterator[HttpServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.received.append(Received(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            status, headers, content = found.next_answer()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    scheme = "http"
    if context is not None:
        scheme, server.socket = "https", context.wrap_socket(server.socket, server_side=True)
    found = HttpServer(f"{scheme}://localhost:{server.server_port}/hook")
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@attrs.define
class RawServer:
    """A server that does with a connection what a function does; it ends what it does when the test ends."""

    port: int
    connections: list[socket.socket] = attrs.field(factory=list)
    accepted: threading.Event = attrs.field(factory=threading.Event)
    left: threading.Event = attrs.field(factory=threading.Event)
    """Set once a client has closed its connection."""


@contextmanager
def raw_server(behave: Callable[[socket.socket], None]) -> Iterator[RawServer]:
    def serve_one(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            behave(connection)
            while connection.recv(65536):
                pass
        found.left.set()

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                found.connections.append(connection)
                found.accepted.set()
                threads.append(threading.Thread(target=serve_one, args=(connection,)))
                threads[-1].start()

    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = RawServer(listener.getsockname()[1])
        accepting = threading.Thread(target=serve)
        accepting.start()
        try:
            yield found
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for connection in found.connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


@attrs.define
class Mailbox:
    """What a mail server does with messages, and those that it took."""

    envelopes: list[Envelope] = attrs.field(factory=list)
    replies: dict[str, str] = attrs.field(factory=dict)
    """Address -> the reply to it as a recipient, instead of taking it."""
    data_replies: list[str] = attrs.field(factory=list)
    """Replies to the next messages, which it keeps nevertheless if they begin with 2."""
    port: int = 0

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if (reply := self.replies.get(address)) is not None:
            return reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        reply = self.data_replies.pop(0) if self.data_replies else "250 taken"
        if reply.startswith("2"):
            self.envelopes.append(envelope)
        return reply


@contextmanager
def mail_server(
    mailbox: Mailbox | None = None,
    *,
    tls: ssl.SSLContext | None = None,
    starttls: ssl.SSLContext | None = None,
    password: str | None = None,
) -> Iterator[Any]:
    """A real SMTP server; with `password`, one that takes mail only from ``aura`` with that password."""

    def authenticate(_server: object, _session: object, _envelope: object, _method: str, given: Any) -> AuthResult:
        good = isinstance(given, LoginPassword) and (given.login, given.password) == (b"aura", str(password).encode())
        return AuthResult(success=good, handled=False)

    found = mailbox or Mailbox()
    options: dict[str, Any] = {"ssl_context": tls} if tls is not None else {}
    server = Controller(
        found,
        hostname="localhost",
        port=0,
        tls_context=starttls,
        require_starttls=starttls is not None,
        auth_required=password is not None,
        auth_require_tls=starttls is not None,
        authenticator=authenticate,
        **options,
    )
    with socket.create_server(("localhost", 0)) as free:
        server.port = found.port = free.getsockname()[1]
    server.start()
    try:
        yield found
    finally:
        server.stop()


@attrs.frozen
class Certificates:
    """A certificate for localhost, and the file by which clients trust it."""

    server: ssl.SSLContext
    ca: str


def make_certificates(folder: Any) -> Certificates:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    file = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return Certificates(context, str(file))


def headers_of(envelope: Envelope) -> dict[str, str]:
    """Return the headers of a mail, each on one line."""
    from email import message_from_bytes, policy

    assert isinstance(envelope.content, bytes)
    mail = message_from_bytes(envelope.content, policy=policy.default)
    return {name: one_line(str(value)) for name, value in mail.items()}


async def happens(event: threading.Event) -> None:
    """Wait for what a server notes."""
    with anyio.fail_after(60):
        await anyio.to_thread.run_sync(event.wait, abandon_on_cancel=True)
