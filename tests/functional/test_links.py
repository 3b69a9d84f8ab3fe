"""Answering by a link: pages that decide nothing, answers that count once, and links that do not answer any more."""

import json
import subprocess
import sys
from contextlib import ExitStack
from datetime import timedelta

import anyio
import pytest

from aura_contracts.approval import (
    AnswerSource,
    ApprovalCommandRefused,
    ApprovalDecision,
    ApprovalStatus,
    Channel,
    VoteCast,
)
from aura_contracts.errors import (
    ActorNotAllowed,
    AggregateNotFound,
    AlreadyAnswered,
    InvalidInput,
    LinkRefused,
    RuleViolated,
    StoreReadOnly,
)
from aura_contracts.task import TaskStatus
from aura_engine import LINK_HEADERS, Host, open_engine
from aura_engine.approval_links.issuer import LinkIssuer
from aura_engine.facade.links import Links
from aura_engine.host import now
from command_line import ENVIRONMENT
from engines import events_of, next_question, scripted, settled, write
from repositories import content, git

pytestmark = pytest.mark.anyio

BASE = "https://aura.example.org/team"
STEPS = scripted([write("new.txt", "x\n")], [write("new.txt", "y\n")])


@pytest.fixture
def clock():
    """A clock that tests set forward, by hours."""

    class Clock:
        ahead = timedelta()

        def __call__(self):
            return now() + self.ahead

    return Clock()


@pytest.fixture
def opened(opened, clock):
    """Opens engines whose pages are at BASE."""

    def open_one(**options):
        environment = {**ENVIRONMENT, "AURA_BASE_URL": BASE}
        return opened(host=Host(environment=environment, clock=clock), **options)

    return open_one


async def asked_about(engine, repository, **terms):
    """Return a run, and the question about its changes."""
    run = await engine.run("Go", repositories=[str(repository)], **terms, **STEPS)
    return run, await next_question(engine, run.id)


async def test_a_link_shows_the_question_and_answers_it_once(opened, repository):
    async with opened() as engine:
        run, asked = await asked_about(engine, repository, reviewers=["bob"])
        link = await engine.approvals.link(asked.id, by="bob", address="bob@example.org")
        assert link.url.startswith(f"{BASE}/links/link1.")
        assert (link.status, link.reviewer, link.seat, link.address) == ("open", "bob", "bob", "bob@example.org")

        page = await engine.links.page(link.url)
        assert page.question.proposal == asked.proposed_solution
        assert "+x" in page.question.diff
        assert page.question.commits == asked.commits
        assert (page.answers, page.refused, page.outcome) == (tuple(ApprovalDecision), None, "")

        source = AnswerSource(channel=Channel.LINK, host="203.0.113.9")
        answered = await engine.links.answer(link.url, page.form, "approved", "fine", source=source)
        assert answered.status is ApprovalStatus.APPROVED
        vote = answered.vote_by(link.id)
        assert (vote.reviewer, vote.seat, vote.source, vote.commits) == ("bob", "bob", source, asked.commits)
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
        assert content(repository, "main", "new.txt") == "x"

        with pytest.raises(AlreadyAnswered, match="bob has answered"):
            await engine.links.answer(link.url, page.form, "rejected", "no")
        page = await engine.links.page(link.url)
        assert (page.answers, page.form, page.refused.code) == ((), "", "already_answered")
        assert page.outcome.startswith("bob answered approved with this link at ")
        assert "decided by bob" in page.outcome
        assert (await engine.links.get(link.url)).status == "used"
        ballots = [one.ballot for one in await events_of(engine, asked.id) if isinstance(one, VoteCast)]
        assert [ballot.link for ballot in ballots] == [link.id]


@pytest.mark.deep
async def test_opening_a_link_decides_nothing_however_often(opened, repository):
    """Mail scanners, previews and browsers open every link that they see, HEAD and GET, several at once."""
    async with opened() as engine:
        _, asked = await asked_about(engine, repository)
        links = [await engine.approvals.link(asked.id) for _ in range(2)]
        head, before = await engine.events.head(), await engine.approvals.get(asked.id)
        async with anyio.create_task_group() as group:
            for link in links * 10:
                group.start_soon(engine.links.page, link.url)
        assert await engine.events.head() == head
        assert await engine.approvals.get(asked.id) == before
        for link in links:  # nor does sending what was in the link, without its page
            token = link.url.rpartition("/")[2]
            for form in (token, "form1.A.A", (await engine.links.page(links[0].url)).form + "A"):
                with pytest.raises(LinkRefused, match="does not come from its page"):
                    await engine.links.answer(link.url, form, "approved")
            with pytest.raises(InvalidInput, match="form"):
                await engine.links.answer(link.url, "", "approved")
        assert await engine.events.head() == head
    async with opened(read_only=True) as engine:
        page = await engine.links.page(links[0].url)
        assert page.question.diff
        with pytest.raises(StoreReadOnly):
            await engine.links.answer(links[0].url, page.form, "approved")


async def test_the_form_of_one_link_is_none_of_another(opened, repository):
    async with opened() as engine:
        _, asked = await asked_about(engine, repository, reviewers=["bob"], quorum=2)
        mine, his = await engine.approvals.link(asked.id), await engine.approvals.link(asked.id, by="bob")
        form = (await engine.links.page(mine.url)).form
        with pytest.raises(LinkRefused):
            await engine.links.answer(his.url, form, "approved")


async def test_a_forwarded_mail_is_one_vote_of_the_seat_it_was_sent_to(opened, repository):
    async with opened() as engine:
        _, asked = await asked_about(engine, repository, reviewers=["bob"], quorum=2)
        link = await engine.approvals.link(asked.id, by="bob", address="bob@example.org")
        reminder = await engine.approvals.link(asked.id, by="bob", address="bob@work.example")
        page, later = await engine.links.page(link.url), await engine.links.page(reminder.url)
        after = await engine.links.answer(link.url, page.form, "approved")  # whoever it was forwarded to
        assert (after.status, after.awaited) == (ApprovalStatus.PENDING, ("alice",))
        for url, form, rule in ((link.url, page.form, "link_used"), (reminder.url, later.form, "already_voted")):
            with pytest.raises(RuleViolated) as refused:
                await engine.links.answer(url, form, "approved")
            assert refused.value.rule == rule
        vote = (await engine.approvals.get(asked.id)).vote_by(link.id)
        assert after.link(vote.link).address == "bob@example.org"
        shown = await engine.links.page(reminder.url)
        assert shown.refused.facts["rule"] == "already_voted"
        assert "bob answered approved at" in shown.outcome
        assert "bob@example.org" not in repr(shown)


@pytest.mark.deep
async def test_a_link_about_older_commits_shows_the_new_ones_and_answers_nothing(opened, repository):
    async with opened() as engine:
        run, asked = await asked_about(engine, repository, reviewers=["bob"])
        old = await engine.approvals.link(asked.id)
        form = (await engine.links.page(old.url)).form
        await engine.approvals.request_changes(asked.id, "say y", by="bob")
        again = await next_question(engine, run.id)
        assert again.commits != asked.commits

        page = await engine.links.page(old.url)
        assert (page.answers, page.form, page.refused.code) == ((), "", "already_answered")
        assert (page.newer.approval_id, page.newer.commits) == (again.id, again.commits)
        assert "+y" in page.newer.diff
        assert page.question.diff == ""
        with pytest.raises(AlreadyAnswered):
            await engine.links.answer(old.url, form, "approved")
        assert (await engine.approvals.get(again.id)).votes == ()

        new = await engine.approvals.link(again.id)
        await engine.links.answer(new.url, (await engine.links.page(new.url)).form, "approved")
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
    assert content(repository, "main", "new.txt") == "y"


@pytest.mark.deep
async def test_commits_made_after_the_page_was_opened_are_not_merged_unseen(opened, repository):
    async with opened() as engine:
        run, asked = await asked_about(engine, repository)
        link = await engine.approvals.link(asked.id)
        form = (await engine.links.page(link.url)).form
        worktree = (await engine.workspaces.get(run.id)).worktrees[0].path
        await (anyio.Path(worktree) / "late.txt").write_text("unseen\n")
        await engine.links.answer(link.url, form, "approved")
        again = await next_question(engine, run.id)
        assert again.id != asked.id
        assert "late.txt" in (await engine.links.page(link.url)).newer.diff
        assert "late.txt" not in git(repository, "ls-tree", "-r", "--name-only", "main")


async def test_a_link_that_has_expired_or_was_revoked_shows_nothing_of_the_question(opened, repository, clock):
    async with opened() as engine:
        _, asked = await asked_about(engine, repository, reviewers=["bob"])
        expiring, revoked = await engine.approvals.link(asked.id), await engine.approvals.link(asked.id)
        forms = [(await engine.links.page(one.url)).form for one in (expiring, revoked)]
        await engine.links.revoke(revoked.id[-8:], "sent to the wrong list", by="bob")
        clock.ahead = timedelta(days=3, minutes=1)
        for link, form, rule in ((expiring, forms[0], "link_expired"), (revoked, forms[1], "link_revoked")):
            page = await engine.links.page(link.url)
            assert (page.question, page.newer, page.answers, page.form) == (None, None, (), "")
            assert page.refused.facts["rule"] == rule
            assert page.refused.remedy
            with pytest.raises(RuleViolated) as refused:
                await engine.links.answer(link.url, form, "approved")
            assert refused.value.rule == rule
        statuses = {one.id: one.status for one in await engine.links.list(asked.id)}
        assert statuses == {expiring.id: "expired", revoked.id: "revoked"}
        clock.ahead = timedelta()  # a clock that is set back revives what expired, and nothing that was revoked
        assert (await engine.links.page(revoked.url)).refused.facts["rule"] == "link_revoked"


async def test_a_link_that_only_shows_has_no_form(opened, repository):
    async with opened() as engine:
        _, asked = await asked_about(engine, repository)
        link = await engine.approvals.link(asked.id, purpose="view", by="zoe")
        page = await engine.links.page(link.url)
        assert page.question.diff
        assert (page.answers, page.form, page.refused) == ((), "", None)
        await engine.links.revoke(link.url)
        page = await engine.links.page(link.url)
        assert (page.question, page.refused.facts["rule"]) == (None, "link_revoked")


async def test_forged_and_foreign_links_are_refused_before_the_store_is_asked(opened, repository, tmp_path):
    async with opened() as engine, opened(home=tmp_path / "other") as other:
        _, asked = await asked_about(engine, repository)
        url = (await engine.approvals.link(asked.id)).url
        for forged in (
            url[:-2],
            f"{url[:-1]}A" if url[-1] != "A" else f"{url[:-1]}B",
            f"{BASE}/links/",
            "x",
            "link1..",
        ):
            for use in (engine.links.page(forged), engine.links.answer(forged, "form", "approved")):
                with pytest.raises(LinkRefused):
                    await use
        with pytest.raises(LinkRefused, match="not issued here"):
            await other.links.page(url)
        assert await engine.links.list() != ()


@pytest.mark.deep
async def test_keys_are_rotated_and_lost_ones_open_nothing(opened, repository):
    async with opened() as engine:
        _, asked = await asked_about(engine, repository)
        link = await engine.approvals.link(asked.id)
        assert await engine.links.rotate_keys() == 2
        assert (await engine.links.page(link.url)).id == link.id
        resent = await engine.links.url(link.id)
        assert resent != link.url
        assert (await engine.links.page(resent)).id == link.id
        assert await engine.links.rotate_keys(lost=True) == 3
        for url in (link.url, resent):
            with pytest.raises(LinkRefused):
                await engine.links.page(url)
        assert (await engine.links.page(await engine.links.url(link.id))).answers


async def test_the_url_of_a_link_is_told_no_one_else(opened, tmp_path):
    """Whoever had the URL of another person's link could answer for both."""
    async with opened(record_only=True) as engine:
        task = await engine.tasks.create("Go", approval="plan", reviewers=["alice", "bob"], quorum=2)
        await engine.tasks.assign(task.id, executor="custom", options={"base_command": "true"})
        asked = await engine.tasks.submit(task.id, "I go")
        link = await engine.approvals.link(asked.id)
        head = await engine.events.head()
        for by in ("bob", "agent:alice"):
            for named in (link.id, link.url):
                with pytest.raises(ActorNotAllowed, match="only they may have it") as refused:
                    await engine.links.url(named, by=by)
                assert (refused.value.rule, refused.value.aggregate_id) == ("own_link", asked.id)
        assert await engine.links.url(link.id, by="alice") == link.url
        stored = [one.event for one in await engine._core.log.page(head)]
        refused_to = [one.refusal.by for one in stored if isinstance(one, ApprovalCommandRefused)]
        assert refused_to == ["human:bob", "human:bob", "agent:alice", "agent:alice"]
        assert (await engine.links.get(link.id)).status == "open"
        with pytest.raises(ActorNotAllowed, match="observers only read"):
            await engine.links.url(link.id, by="observer:alice")
    async with opened(user="bob", record_only=True) as engine:
        with pytest.raises(ActorNotAllowed, match="only they may have it"):
            await engine.links.url(link.id)


async def test_only_a_human_closes_all_links(opened):
    async with opened(record_only=True) as engine:
        assert await engine.links.rotate_keys() == 1  # without a link yet
        head = await engine.events.head()
        with pytest.raises(ActorNotAllowed, match="a human decides") as refused:
            await engine.links.rotate_keys(lost=True, by="agent:g")
        assert refused.value.rule == "only_humans"
        assert await engine.events.head() == head
        assert await engine.links.rotate_keys(by="agent:g") == 2
        assert await engine.links.rotate_keys(lost=True) == 3
        with pytest.raises(ActorNotAllowed, match="observers only read"):
            await engine.links.rotate_keys(lost=True, by="observer:alice")


@pytest.mark.deep
async def test_a_restart_forgets_no_link(opened, repository):
    async with opened() as engine:
        _, asked = await asked_about(engine, repository)
        link = await engine.approvals.link(asked.id)
    async with opened() as engine:
        page = await engine.links.page(link.url)
        await engine.links.answer(link.url, page.form, "rejected", "start over")
        assert (await engine.approvals.get(asked.id)).feedback == "start over"


async def test_links_are_issued_for_oneself_or_by_the_engine(opened, repository):
    async with opened() as engine:
        _, asked = await asked_about(engine, repository, reviewers=["bob"])
        for by, rule in (("mallory", "seat"), ("agent:g", "seat")):
            with pytest.raises(ActorNotAllowed) as refused:
                await engine.approvals.link(asked.id, by=by)
            assert refused.value.rule == rule
        issuer: LinkIssuer = engine._core.link_issuer()
        sent = await issuer.issue("system:engine", asked.id, "bob", address="bob@example.org")
        assert (await engine.links.page(sent.url)).reviewer == "bob"
        assert [one.id for one in await engine.links.list()] == [sent.id]
        revoked = await engine.links.revoke_all(asked.id)
        assert [one.status for one in revoked] == ["revoked"]
        with pytest.raises(AggregateNotFound, match=r"no link 0123abc") as missing:
            await engine.links.get("0123abc")
        assert "links.list()" in missing.value.remedy


async def test_without_an_address_no_link_is_issued(opened, repository):
    async with opened() as engine:
        _, asked = await asked_about(engine, repository)
        for base_url in ("http://aura.example.org", "ftp://x", "no url"):
            with pytest.raises(InvalidInput) as refused:
                await engine.approvals.link(asked.id, base_url=base_url)
            assert refused.value.field == "base_url"
        engine._core.base_url = None
        with pytest.raises(InvalidInput, match="AURA_BASE_URL") as refused:
            await engine.approvals.link(asked.id)
        assert (await engine.approvals.get(asked.id)).links == ()
        assert (await engine.approvals.link(asked.id, base_url="http://localhost:1/a/")).url.startswith(
            "http://localhost:1/a/links/"
        )


async def test_no_url_and_no_key_is_in_the_log(opened, repository, tmp_path):
    async with opened() as engine:
        _, asked = await asked_about(engine, repository)
        link = await engine.approvals.link(asked.id, address="alice@example.org")
        page = await engine.links.page(link.url)
        await engine.links.answer(link.url, page.form, "approved")
    token, secret = link.url.rpartition("/")[2], (tmp_path / "home" / "link-keys" / "1").read_bytes()
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("aura.db*") if path.is_file())
    for hidden in (token, token.rpartition(".")[2], page.form, json.loads(secret)["secret"]):
        assert hidden.encode() not in stored
    assert link.id.encode() in stored


def test_a_page_is_kept_nowhere_and_tells_no_one_its_address():
    assert LINK_HEADERS["Cache-Control"] == "no-store"
    assert LINK_HEADERS["Referrer-Policy"] == "no-referrer"
    assert "default-src 'none'" in LINK_HEADERS["Content-Security-Policy"]
    assert {"page", "answer"} <= set(vars(Links))


# --- At one moment ----------------------------------------------------------------------------------------------------

ANSWER = """\
import json, sys

from aura_contracts.errors import AuraError
from aura_engine import open_engine_sync

store, home, url, decision = sys.argv[1:]
with open_engine_sync(store, home=home, user="server", record_only=True) as engine:
    form = engine.links.page(url).form
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        told = {"status": engine.links.answer(url, form, decision, "because").status}
    except AuraError as error:
        told = {"code": error.code, **error.facts()}
    print(json.dumps(told), flush=True)
"""
"""Answers with a link when it is told to; its page is open by then."""


def answer_at_once(store, home, url, decisions):
    """Have a process for each decision answer with one link, all at once; return what each was told."""
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", ANSWER, store, home, url, decision],
                    env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                )
            )
            for decision in decisions
        ]  # fmt: skip
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("now\n")
            process.stdin.flush()
        return [json.loads(process.communicate(timeout=120)[0]) for process in processes]


@pytest.fixture(params=["sqlite", "postgres"])
def store(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'aura.db'}"
    return request.getfixturevalue("postgres_url")


@pytest.mark.deep_but_first
@pytest.mark.parametrize("quorum", [1, 2])
async def test_of_two_answers_by_one_link_at_one_moment_one_counts(store, tmp_path, quorum):
    home = tmp_path / "home"
    async with open_engine(store, home=home, user="alice", record_only=True) as engine:
        task = await engine.tasks.create("Go", approval="plan", reviewers=["bob"], quorum=quorum)
        await engine.tasks.assign(task.id, executor="custom", options={"base_command": "true"})
        asked = await engine.tasks.submit(task.id, "I go")
        link = await engine.approvals.link(asked.id, base_url=BASE)
    decisions = ["approved", "approved"] if quorum == 2 else ["approved", "needs_changes"]
    told = await anyio.to_thread.run_sync(answer_at_once, store, home, link.url, decisions)
    refused = [one for one in told if "code" in one]
    assert len(refused) == 1
    async with open_engine(store, home=home, user="alice", record_only=True) as engine:
        votes = (await engine.approvals.get(asked.id)).votes
    assert [(vote.reviewer, vote.link) for vote in votes] == [("alice", link.id)]
    (won,) = [decision for decision, one in zip(decisions, told, strict=True) if "code" not in one] or [None]
    assert votes[0].decision == won
    assert refused[0].get("rule") == "link_used" if quorum == 2 else refused[0]["code"] == "already_answered"
