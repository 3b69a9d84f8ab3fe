"""Executor `ollama`: a model on this machine answers, by Ollama. It has no tools and changes no files.

    ollama run MODEL --verbose --nowordwrap ...

From the documentation and the published source of ollama 0.12 (not run: models are large); read tolerantly. The prompt
goes by standard input, and all of the answer is one message; ``--verbose`` makes it count tokens on standard error.

======================  ================================================================================================
success                 exit code 0 and an answer
failure                 anything else; "Error: ..." on standard error says why: no such model, no server
no final word           not distinguished: an answer has no end marker
rate limit              "too many requests" on standard error, of models in its cloud
authentication          "unauthorized" on standard error, of models in its cloud
refused                 not distinguished from other answers
session lost            there are no sessions
interrupted             not visible: SIGINT and SIGTERM end it at once
lack of permission      does not occur
======================  ================================================================================================

Quirks, seen in the source:

- A missing model is downloaded first.
- Paths of images in the prompt are read and sent along, where the model can see.
- Thoughts are between ``Thinking...`` and ``...done thinking.`` in the answer.
"""

import re
from collections.abc import Iterator
from typing import Literal

from aura_contracts.ports.executors import AgentRun, Capability
from aura_executors.adapter.agent_executor import flags
from aura_executors.adapter.options import AgentOptions
from aura_executors.adapter.program_lookup import Program
from aura_executors.adapter.single_shot import ModelConversation, ModelExecutor

__all__ = ["OllamaExecutor", "OllamaOptions"]

PROGRAM = Program(name="ollama", tested=(), install="see ollama.com/download")


class OllamaOptions(AgentOptions, frozen=True, kw_only=True):
    """Options of `ollama`. `model` is required: there is no default."""

    system_prompt: str | None = None
    """Put before the prompt: the command has no other way."""
    think: Literal["false", "true", "low", "medium", "high"] | None = None
    """How much the model thinks; not every model knows all of them."""
    keepalive: str | None = None
    """How long the model stays in memory afterwards: ``5m``, ``0``."""
    insecure: bool = False
    """Download from a registry without verifying it."""


class OllamaExecutor(ModelExecutor[OllamaOptions]):
    """Asks a model through ollama."""

    name = "ollama"
    summary = "a model on this machine, by ollama run: answers in words, changes nothing"
    capability = Capability(plan=True)

    program = PROGRAM
    options = OllamaOptions
    listing = "ollama list"

    def arguments(self, run: AgentRun, options: OllamaOptions) -> Iterator[str]:
        yield from ("run", options.model or "")
        yield from flags(
            {
                "--verbose": True,
                "--nowordwrap": True,
                "--think": options.think,
                "--keepalive": options.keepalive,
                "--insecure": options.insecure,
            }
        )

    def stdin(self, run: AgentRun, options: OllamaOptions) -> bytes:
        system = f"{options.system_prompt}\n\n" if options.system_prompt else ""
        return system.encode("utf-8", "replace") + super().stdin(run, options)

    def converse(self, run: AgentRun) -> "_OllamaConversation":
        return _OllamaConversation(self.options_of(run).model or "")


class _OllamaConversation(ModelConversation):
    thinking = ("Thinking...\n", "...done thinking.")
    read = re.compile(r"^prompt eval count:\s+([0-9]{1,15}) token", re.MULTILINE)
    written = re.compile(r"^eval count:\s+([0-9]{1,15}) token", re.MULTILINE)
