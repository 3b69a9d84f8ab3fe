"""``aura link``: links that answer a question from an inbox: what they are good for, what they show, and their end."""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import TYPE_CHECKING

from aura_cli._call import Invocation, engine_of
from aura_cli.arguments.parser import add_subcommand, add_subcommands
from aura_cli.rendering.errors import as_commands
from aura_cli.rendering.formatting import counted, minute_text, time_text
from aura_contracts.errors import InvalidInput
from aura_contracts.quoting import block, one_line

if TYPE_CHECKING:
    from aura_engine import LinkInfo, LinkPage

_TITLES = ("id", "status", "for", "purpose", "expires (UTC)", "sent to", "approval")

_LINK_HELP = "the link: its URL, its id, or the first or last digits of it"

_ROTATE_EPILOG = """\
New links have the new key; those that were issued still open, unless the other
keys are --lost to someone else: then no link opens any more that was issued.
"""


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    commands = add_subcommands(parser)
    listing = add_subcommand(commands, "list", "list the links to open questions, or to one question", _list)
    listing.add_argument("--approval", metavar="ID", help="only links to this question, which may be decided")
    showing = add_subcommand(commands, "show", "show what a link shows; this decides nothing", _show)
    showing.add_argument("link", metavar="URL", help="the URL of the link, or its last part")
    revoking = add_subcommand(commands, "revoke", "revoke links: they show and answer nothing any more", _revoke)
    revoking.add_argument("link", metavar="LINK", nargs="*", help=_LINK_HELP)
    revoking.add_argument("--approval", metavar="ID", help="all links to this question that were not used")
    revoking.add_argument("--reason", metavar="TEXT", default="", help="why they are revoked")
    rotating = add_subcommand(commands, "rotate-keys", "sign links with a new key from now on", _rotate)
    rotating.add_argument("--lost", action="store_true", help="someone else has the other keys: remove them")
    rotating.epilog = _ROTATE_EPILOG


async def _list(call: Invocation) -> None:
    async with engine_of(call, read_only=True) as engine:
        links = await engine.links.list(call.arguments.approval)
    call.terminal.table(links, _TITLES, _row, lambda link: link.as_dict())
    call.terminal.say(counted(len(links), "link"))


def _row(link: "LinkInfo") -> tuple[str, ...]:
    return (
        link.id,
        link.status,
        one_line(link.reviewer),
        link.purpose,
        minute_text(link.expires_at),
        one_line(link.address),
        link.approval_id,
    )


async def _show(call: Invocation) -> None:
    async with engine_of(call, read_only=True) as engine:
        page = await engine.links.page(call.arguments.link)
    data = page.as_dict()
    del data["form"]  # an answer comes from a page, not from a terminal's log
    call.terminal.item(data, "\n".join(_page_lines(page)))


def _page_lines(page: "LinkPage") -> Iterator[str]:
    facts = {
        "link": page.id,
        "approval": page.approval_id,
        "for": one_line(page.reviewer),
        "sent to": one_line(page.address),
        "expires": time_text(page.expires_at),
        "answers": ", ".join(answer.replace("_", " ") for answer in page.answers) or "nothing",
        "because": "" if page.refused is None else one_line(page.refused.message),
        "remedy": "" if page.refused is None else as_commands(one_line(page.refused.remedy)),
        "outcome": one_line(page.outcome),
        "newer": "" if page.newer is None else page.newer.approval_id,
    }
    yield from (f"{name:<9} {value}" for name, value in facts.items() if value)
    for question in (page.question, page.newer):
        if question is not None:
            yield from ("", *block(question.proposal), *block(question.diff))


async def _revoke(call: Invocation) -> None:
    given = call.arguments
    if bool(given.link) is bool(given.approval):
        raise InvalidInput(field="LINK", reason="name links, or a question with --approval", remedy="give one of both")
    async with engine_of(call, record_only=True) as engine:
        if given.approval:
            links = list(await engine.links.revoke_all(given.approval, given.reason))
        else:
            links = [await engine.links.revoke(link, given.reason) for link in given.link]
    for link in links:
        call.terminal.item(link.as_dict(), f"link {link.id} is {link.status}")


async def _rotate(call: Invocation) -> None:
    async with engine_of(call, record_only=True) as engine:
        number = await engine.links.rotate_keys(lost=call.arguments.lost)
    call.terminal.item({"id": str(number), "kind": "link_key"}, f"links are signed with key {number}")
