"""The grid: every agent in every case, live. With AURA_GRID=FILE the outcome is written there, for the page about it.

A case passes if AURA does what the agent makes possible; where an agent cannot do the whole of it, its cell says why in
a word.
"""

import json
import signal

import pytest
from live import DONE, FEEDBACK, LONG, PROMPT, RESULT, answers_slowly, kill, live_site, worktree
from roster import AGENTS, AGENTS_BY_ACP

from aura_contracts.execution import (
    AgentErrorReported,
    AgentFinished,
    CallMade,
    CallStarted,
    ConversationReplayed,
    EntryNotUnderstood,
    PermissionAnswered,
    PermissionAsked,
)
from aura_contracts.failures import FailureReason
from repositories import branches, content, worktrees

ALL = (*AGENTS, *AGENTS_BY_ACP)

pytestmark = [
    pytest.mark.real_agents,
    pytest.mark.parametrize("agent", ALL, ids=str),
    pytest.mark.usefixtures("installed"),
]

DONE_TOO = {"text": f"Done: second.txt too. {RESULT}"}
SLEEP = {"shell": "echo started > started.txt; sleep 300"}
SLOW = {"text": "This is a very slow answer. " * 40, "chunks": 200, "chunk_delay": 0.5}
SILENT = {"first_delay": LONG, "text": "never"}
IDLE = 10
"""Seconds without output: longer than any of the agents takes to start, on a machine that is busy."""

SERVICE_ERRORS = {401: FailureReason.AUTHENTICATION, 429: FailureReason.RATE_LIMITED, 500: FailureReason.AGENT_ERROR}
WORDS = {401: "Incorrect API key provided: sk-x.", 429: "Rate limit reached for requests.", 500: "A server error."}
"""What services say then, for agents that pass on nothing else."""


@pytest.fixture(autouse=True)
def _cell(request, agent, record_property):
    """Name the cell of the grid that a test is about."""
    record_property("agent", agent.name)
    record_property("case", case_of(request.node.originalname, request.node.callspec.params.get("status")))


def case_of(test, status=None):
    return " ".join(part for part in (test.removeprefix("test_").replace("_", " "), str(status or "")) if part)


def cases():
    """Return what each case of the grid is about, by name, in their order."""
    tests = {name: test.__doc__ for name, test in globals().items() if name.startswith("test_")}
    statuses = {"test_status": SERVICE_ERRORS}
    return {case_of(name, status): what for name, what in tests.items() for status in statuses.get(name, (None,))}


def turns_of(agent):
    """Return what the model says to the prompt, and to the feedback."""
    more = {"match": "Follow-up", "steps": [agent.write("second.txt", "second"), DONE_TOO]}
    return [more, {"steps": [agent.write("hello.txt", "hello"), DONE]}]


def test_success(agent, tmp_path, remark):
    """It creates a file, which is merged; its call, its words and its usage are recorded."""
    with live_site(tmp_path, agent, [{"steps": [agent.write("hello.txt", "hello"), DONE]}]) as site:
        assert site.end(site.run()) == 0, site.said
        story = site.story()
    assert story.ends == ["execution.completed", "task.completed"]
    assert content(site.repository, "main", "hello.txt") == "hello"
    assert (worktrees(site.repository), branches(site.repository)) == ([], {"main"})
    assert len(story.sessions) == 1
    (called,), (result,) = story.entries(CallStarted), story.entries(CallMade)
    assert result.entry.success
    assert called.entry.call_id == result.entry.call_id != ""
    assert called.entry.tool
    assert "hello" in json.dumps(called.entry.arguments)
    assert story.said[-1] == DONE["text"]
    used = (agent.usage.input_tokens, agent.usage.output_tokens)
    assert (story.usage.input_tokens, story.usage.output_tokens) == used
    assert {event.entry.failure for event in story.entries(AgentFinished)} <= {None}
    assert story.entries(EntryNotUnderstood) == []
    assert len(story.of("execution.process_started")) == len(story.of("execution.process_exited")) == 1
    if not agent.counts_all:
        remark("usage incomplete" if agent.usage.input_tokens else "no usage")


def test_permission(agent, tmp_path, remark):
    """It asks before a call, which is made once if it is allowed, and not at all if it is denied."""
    turns = [
        {"match": "did not permit", "steps": [{"text": f"Then I leave it. {RESULT}"}]},
        {"steps": [agent.wanting, DONE]},
    ]
    if agent.asking is None:
        with live_site(tmp_path, agent, turns, agent.lacking) as site:
            code = site.end(site.run())
            if code or agent.tells:
                assert code == 1, site.said
                check_not_permitted(site)
            assert not (site.repository / "hello.txt").exists()
        return remark("does not ask" if agent.tells else "may not tell")
    for name, code, words in (("yes", 0, ("approve",)), ("no", 1, ("reject", "--feedback", "Not this file."))):
        (tmp_path / name).mkdir()
        with live_site(tmp_path / name, agent, turns, agent.asking) as site:
            process = site.run()
            site.hears(lambda: site.story().entries(PermissionAsked))
            (asked,) = site.story().of("approval.requested")
            assert "hello.txt" in json.dumps(asked.question.tool_call.arguments)
            site.aura("approval", words[0], asked.approval_id, *words[1:])
            assert site.end(process) == code, site.said
            story = site.story()
            assert [event.granted for event in story.entries(PermissionAnswered)] == [not code]
            if code:
                check_not_permitted(site)
                told = json.dumps([request["body"] for request in site.url.requests])
                assert ("Not this file." in told) == agent.hears_why
            else:
                assert content(site.repository, "main", "hello.txt") == "hello", "once"
                assert [event.entry.success for event in story.entries(CallMade)] == [True]
    return None if agent.hears_why else remark("not told why")


def test_follow_up(agent, tmp_path, remark):
    """Its work is rejected with feedback, and it continues in its session and its worktree."""
    with live_site(tmp_path, agent, turns_of(agent), words=("--attempts", "1")) as site:
        process = site.run()
        assert process.wait(LONG) == 0, site.said
        asked = len(site.url.requests)
        (question,) = site.story().of("approval.requested")
        site.aura("approval", "reject", question.approval_id, "--feedback", FEEDBACK)
        (question,) = site.story().of("approval.requested")[1:]
        site.aura("approval", "approve", question.approval_id)
        site.end(process)
        check_continued(site, asked, anew=agent.resumes == "never")
        assert site.story().ends == ["execution.completed", "task.completed"]
        assert site.story().usage.output_tokens == 2 * agent.usage.output_tokens
    if agent.resumes == "never":
        remark("told again")


def test_another_task(agent, tmp_path, remark):
    """Another task resumes its session, in a worktree of its own."""
    with live_site(tmp_path, agent, turns_of(agent)) as site:
        assert site.end(site.run()) == 0, site.said
        asked = len(site.url.requests)
        assert site.end(site.run("--resume-latest", "--prompt", FEEDBACK)) == 0, site.said
        check_continued(site, asked, anew=agent.resumes != "anywhere")
        assert site.story().ends == ["execution.completed", "task.completed"] * 2
    if agent.resumes != "anywhere":
        remark("told again")


@pytest.mark.parametrize("status", SERVICE_ERRORS)
def test_status(agent, status, tmp_path, remark):
    """The model's service answers with this status: the run fails, and says why."""
    words = f"scripted failure {status}" if agent.tells_status else WORDS[status]
    with live_site(tmp_path, agent, [{"steps": [{"status": status, "error": words}]}]) as site:
        assert site.end(site.run()) == exit_code(site), site.said
        check_failed(site, SERVICE_ERRORS[status])
    if not agent.tells_status:
        remark("by its words")


def test_half_way(agent, tmp_path):
    """The service fails after a call: the run fails, and the work stays where it is."""
    with live_site(
        tmp_path, agent, [{"steps": [agent.write("hello.txt", "hello"), {"status": 500, "error": "half way"}]}]
    ) as site:
        assert site.end(site.run()) == exit_code(site), site.said
        check_failed(site, FailureReason.AGENT_ERROR)
        assert worktree(site).joinpath("hello.txt").read_text() == "hello\n"
        assert not (site.repository / "hello.txt").exists()


def test_cut_answer(agent, tmp_path, remark):
    """The connection breaks in the middle of an answer: that is no success."""
    with live_site(tmp_path, agent, [{"steps": [{"text": "half an answer that is cut", "drop": True}]}]) as site:
        code = site.end(site.run())
        if agent.cut is not None:
            assert code == exit_code(site), site.said
            check_failed(site, agent.cut)
            return
        assert code == 0, site.said
        assert site.story().ends == ["execution.completed", "task.completed"]
    remark("not noticed")


@pytest.mark.parametrize("during", ["call", "answer"])
def test_interrupt(agent, during, tmp_path):
    """Ctrl-C in the middle of a call or an answer: no process is left, and the work is where it was."""
    steps = [SLEEP, {"text": "never"}] if during == "call" else [{"shell": "echo started > started.txt"}, SLOW]
    with live_site(tmp_path, agent, [{"steps": steps}]) as site:
        process = site.run()
        site.hears(lambda: worktree(site) and worktree(site).joinpath("started.txt").exists())
        site.hears(lambda: site.sleeping("sleep 300") if during == "call" else answers_slowly(site))
        process.send_signal(signal.SIGINT)
        assert site.end(process) == 130, site.said
        story = site.story()
        assert site.sleeping("sleep 300") == []
        assert worktree(site).joinpath("started.txt").exists()
    assert sorted(story.ends) == ["execution.cancelled", "task.cancelled"]
    assert len(story.sessions) == 1
    assert len(story.of("execution.process_started")) == len(story.of("output.closed")) == 1
    assert "never" not in story.said


def test_silence(agent, tmp_path):
    """The model says nothing for longer than --idle-timeout: the agent is ended."""
    with live_site(tmp_path, agent, [{"steps": [agent.write("hello.txt", "hello"), SILENT]}]) as site:
        assert site.end(site.run("--idle-timeout", str(IDLE))) == 1, site.said
        check_failed(site, FailureReason.TIMEOUT)
        assert worktree(site).joinpath("hello.txt").read_text() == "hello\n"


def test_kill(agent, tmp_path, remark):
    """AURA is killed, and finds the agent again; then all are killed, and the next agent continues in the session."""
    turns = [{"match": "You were interrupted", "steps": [DONE]}, {"steps": [agent.write("hello.txt", "hello"), SLOW]}]
    with live_site(tmp_path, agent, turns, words=("--approval", "auto")) as site:
        process = site.run()
        site.hears(lambda: answers_slowly(site))
        kill(site, process, "aura")
        process = site.run()
        site.hears(lambda: "resuming task" in site.said and len(site.story().of("lease.granted")) > 1)
        assert len(site.story().of("execution.process_started")) == 1, "it found the agent"
        asked = len(site.url.requests)
        kill(site, process, "aura+supervisor+agent")
        assert site.end(site.run()) == 0, site.said
        check_told(site, asked, anew=agent.resumes == "never")
        assert content(site.repository, "main", "hello.txt") == "hello"
        assert site.story().said[-1] == DONE["text"]
    if agent.resumes == "never":
        remark("told again")


@pytest.mark.parametrize("prompt", ["--", "{command} is a word of this prompt"], ids=["option", "command"])
def test_prompt(agent, prompt, tmp_path):
    """A prompt that looks like an option, or like a command of the agent, reaches the model whole."""
    prompt = prompt.format(command=agent.command)
    with live_site(tmp_path, agent, turns_of(agent), prompt=prompt) as site:
        assert site.end(site.run()) == 0, site.said
        assert prompt in json.dumps([request["body"] for request in site.url.requests])
    assert content(site.repository, "main", "hello.txt") == "hello"


# --- What several cases check -----------------------------------------------------------------------------------------


def check_continued(site, asked, *, anew):
    """Feedback was carried out by an agent that knows what was said before."""
    check_told(site, asked, anew=anew)
    assert site.story().said[-1] == DONE_TOO["text"]
    assert content(site.repository, "main", "hello.txt") == "hello"
    assert content(site.repository, "main", "second.txt") == "second"


def check_told(site, asked, *, anew):
    """The model heard the first prompt again after its first `asked` requests: in its session, or told `anew`."""
    story = site.story()
    told = json.dumps([request["body"] for request in site.url.requests[asked:]])
    assert PROMPT in told
    assert len(story.of("execution.session_dropped")) == len(story.entries(ConversationReplayed)) == anew
    assert len(set(story.sessions)) == 1 + anew


def check_not_permitted(site):
    story = site.story()
    assert story.failure.reason is FailureReason.PERMISSION_DENIED, story.failure
    assert story.ends == ["execution.failed", "task.failed"]
    assert not (site.repository / "hello.txt").exists()


def check_failed(site, reason):
    story = site.story()
    assert story.failure.reason is reason, story.failure
    assert story.failure.message.splitlines()[0] in site.said
    assert story.failure.stage == "CodingInitial"
    assert story.ends == ["execution.failed", "task.failed"]
    if reason is not FailureReason.TIMEOUT:
        assert [one for one in (*story.entries(AgentErrorReported), *story.entries(AgentFinished)) if one.error]
    assert story.entries(EntryNotUnderstood) == []


def exit_code(site):
    """Return the exit code that a run should have: that of its agent, if it has one that says failure."""
    (exited,) = site.story().of("execution.process_exited")
    exit = exited.exit
    return exit.exit_code or (128 + exit.signal if exit.signal else 1)
