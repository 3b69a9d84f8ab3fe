"""Executor `lms`: a model on this machine answers, by LM Studio's ``lms``. It has no tools and changes no files.

    lms chat MODEL --stats --dont-fetch-catalog ...

From the documentation and the published source of lms 0.0.47 (not run: it needs LM Studio); read tolerantly. The prompt
goes by standard input, and all of the answer is one message.

======================  ================================================================================================
success                 exit code 0 and an answer
failure                 anything else: LM Studio does not run, no such model, the prediction failed; standard error says
                        why
no final word           not distinguished: an answer has no end marker
rate limit              does not occur
authentication          does not occur
refused                 not distinguished from other answers
session lost            there are no sessions
interrupted             not visible: SIGINT and SIGTERM end it
lack of permission      does not occur
======================  ================================================================================================

Quirks, seen in the source:

- Without a prompt it exits with 0 and no output, which is a failure here.
- It may start LM Studio's service, which stays.
- A missing model is downloaded only with `download`.
"""

import re
from collections.abc import Iterator, Mapping

from aura_contracts.errors import InvalidInput
from aura_contracts.ports.executors import AgentRun, Availability, Capability, Conversation, Executor, Launch
from aura_executors.adapter.options import AgentOptions, program_of, prompt_bytes, with_params
from aura_executors.adapter.program_lookup import Program
from aura_executors.adapter.single_shot import ModelConversation, model_options

__all__ = ["LmsExecutor", "LmsOptions"]

PROGRAM = Program(
    name="lms",
    tested=(),
    install="install LM Studio (lmstudio.ai), start it once, then run `npx lmstudio install-cli`",
    version=("version",),
)


class LmsOptions(AgentOptions, frozen=True, kw_only=True):
    """Options of `lms`. `model` is required: without it, lms asks which one."""

    system_prompt: str | None = None
    """None: lms's own, for an assistant in a terminal."""
    ttl: int | None = None
    """Seconds that the model stays in memory afterwards; None: an hour."""
    host: str | None = None
    """Another machine that runs LM Studio."""
    port: int | None = None
    download: bool = False
    """Approve whatever it asks, such as whether to download the model."""


class LmsExecutor(Executor):
    """Asks a model through LM Studio."""

    name = "lms"
    summary = "a model on this machine, by LM Studio's lms chat: answers in words, changes nothing"
    capability = Capability(plan=True)

    def launch(self, run: AgentRun) -> Launch:
        options = _options_of(run)
        argv = (*program_of(PROGRAM, options, run.environment), "chat", *with_params([*_flags(options)], options))
        return Launch(argv=argv, env=dict(options.env), stdin=prompt_bytes(run, options))

    def converse(self, run: AgentRun) -> Conversation:
        return _LmsConversation(_options_of(run).model or "")

    def availability(self, environment: Mapping[str, str]) -> Availability:
        return PROGRAM.availability(environment)


class _LmsConversation(ModelConversation):
    thinking = ("<think>", "</think>")
    read = re.compile(r"Prompt Tokens?(?: Count)?:\s+([0-9]{1,15})\b", re.IGNORECASE)
    written = re.compile(r"Predicted Tokens?(?: Count)?:\s+([0-9]{1,15})\b", re.IGNORECASE)


def _options_of(run: AgentRun) -> LmsOptions:
    options = model_options("lms", run, LmsOptions, "lms ls")
    if options.ttl is not None and options.ttl < 1:
        raise InvalidInput(field="option ttl", reason="seconds are 1 or more", remedy="leave it out for an hour")
    return options


def _flags(options: LmsOptions) -> Iterator[str]:
    yield from (options.model or "", "--stats", "--dont-fetch-catalog")
    if options.system_prompt is not None:
        yield f"--system-prompt={options.system_prompt}"
    if options.ttl is not None:
        yield f"--ttl={options.ttl}"
    if options.host is not None:
        yield f"--host={options.host}"
    if options.port is not None:
        yield f"--port={options.port}"
    if options.download:
        yield "--yes"
