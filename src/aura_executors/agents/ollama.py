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
from collections.abc import Iterator, Mapping
from enum import StrEnum

from aura_contracts.ports.executors import AgentRun, Availability, Capability, Conversation, Executor, Launch
from aura_executors.adapter.options import AgentOptions, program_of, prompt_of, with_params
from aura_executors.adapter.program_lookup import Program
from aura_executors.adapter.single_shot import ModelConversation, model_options

__all__ = ["OllamaExecutor", "OllamaOptions"]

PROGRAM = Program(name="ollama", tested=(), install="see ollama.com/download")


class Think(StrEnum):
    """How much the model thinks; ollama's own terms. Not every model knows all of them."""

    FALSE = "false"
    TRUE = "true"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class OllamaOptions(AgentOptions, frozen=True, kw_only=True):
    """Options of `ollama`. `model` is required: there is no default."""

    system_prompt: str | None = None
    """Put before the prompt: the command has no other way."""
    think: Think | None = None
    keepalive: str | None = None
    """How long the model stays in memory afterwards: ``5m``, ``0``."""
    insecure: bool = False
    """Download from a registry without verifying it."""


class OllamaExecutor(Executor):
    """Asks a model through ollama."""

    name = "ollama"
    summary = "a model on this machine, by ollama run: answers in words, changes nothing"
    capability = Capability(plan=True)

    def launch(self, run: AgentRun) -> Launch:
        options = _options_of(run)
        prompt = "\n\n".join(part for part in (options.system_prompt, prompt_of(run, options)) if part)
        argv = (*program_of(PROGRAM, options, run.environment), "run", *with_params([*_flags(options)], options))
        return Launch(argv=argv, env=dict(options.env), stdin=prompt.encode("utf-8", "replace"))

    def converse(self, run: AgentRun) -> Conversation:
        return _OllamaConversation(_options_of(run).model or "")

    def availability(self, environment: Mapping[str, str]) -> Availability:
        return PROGRAM.availability(environment)


class _OllamaConversation(ModelConversation):
    thinking = ("Thinking...\n", "...done thinking.")
    read = re.compile(r"^prompt eval count:\s+([0-9]{1,15}) token", re.MULTILINE)
    written = re.compile(r"^eval count:\s+([0-9]{1,15}) token", re.MULTILINE)


def _options_of(run: AgentRun) -> OllamaOptions:
    return model_options("ollama", run, OllamaOptions, "ollama list")


def _flags(options: OllamaOptions) -> Iterator[str]:
    yield from (options.model or "", "--verbose", "--nowordwrap")
    if options.think is not None:
        yield f"--think={options.think}"
    if options.keepalive is not None:
        yield f"--keepalive={options.keepalive}"
    if options.insecure:
        yield "--insecure"
