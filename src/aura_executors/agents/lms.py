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
from collections.abc import Iterator

from aura_contracts.ports.executors import AgentRun, Capability
from aura_executors.adapter.agent_executor import flags
from aura_executors.adapter.options import AgentOptions, PositiveCount
from aura_executors.adapter.program_lookup import Program
from aura_executors.adapter.single_shot import ModelConversation, ModelExecutor

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
    ttl: PositiveCount | None = None
    """Seconds that the model stays in memory afterwards; None: an hour."""
    host: str | None = None
    """Another machine that runs LM Studio."""
    port: int | None = None
    download: bool = False
    """Approve whatever it asks, such as whether to download the model."""


class LmsExecutor(ModelExecutor[LmsOptions]):
    """Asks a model through LM Studio."""

    name = "lms"
    summary = "a model on this machine, by LM Studio's lms chat: answers in words, changes nothing"
    capability = Capability(plan=True)

    program = PROGRAM
    options = LmsOptions
    listing = "lms ls"

    def arguments(self, run: AgentRun, options: LmsOptions) -> Iterator[str]:
        yield from ("chat", options.model or "")
        yield from flags(
            {
                "--stats": True,
                "--dont-fetch-catalog": True,
                "--system-prompt": options.system_prompt,
                "--ttl": options.ttl,
                "--host": options.host,
                "--port": options.port,
                "--yes": options.download,
            }
        )

    def converse(self, run: AgentRun) -> "_LmsConversation":
        return _LmsConversation(self.options_of(run).model or "")


class _LmsConversation(ModelConversation):
    thinking = ("<think>", "</think>")
    read = re.compile(r"Prompt Tokens?(?: Count)?:\s+([0-9]{1,15})\b", re.IGNORECASE)
    written = re.compile(r"Predicted Tokens?(?: Count)?:\s+([0-9]{1,15})\b", re.IGNORECASE)
