"""Executor `ollama`: a model on this machine answers, by ``ollama run MODEL``. It has no tools and changes no files.

From the documentation and the published source of ollama 0.12 (not run: models are large); read tolerantly. The prompt
goes by standard input, and all of the answer is one message; ``--verbose`` makes it count tokens on standard error.

- **success**: exit code 0 and an answer;
- **failure**: anything else; "Error: ..." on standard error says why: no such model, no server;
- **interrupted**: SIGINT and SIGTERM end it at once;
- rate limits, authentication, refusals and permissions do not occur with models on this machine; cloud models answer
  "unauthorized" and "too many requests", which are told apart by these words.

Quirks: a model that is not there is downloaded first. Paths of images in the prompt are read and sent along, where the
model can see. Thoughts are between ``Thinking...`` and ``...done thinking.`` in the answer.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum

from aura_contracts.errors import InvalidInput
from aura_contracts.execution import Usage
from aura_contracts.ports.executors import (
    AgentRun,
    Availability,
    Capability,
    Conversation,
    Entry,
    Executor,
    Launch,
    UsageReported,
)
from aura_contracts.ports.processes import ProcessExit
from aura_executors._options import read_options
from aura_executors.agents._command import AgentOptions, program_of, prompt_of, require_clean, with_params
from aura_executors.agents._finding import Program
from aura_executors.agents._plain import PlainConversation

__all__ = ["OllamaExecutor", "OllamaOptions"]

PROGRAM = Program(name="ollama", tested=(), install="see ollama.com/download")

_COUNT = re.compile(r"^(?P<prompt>prompt )?eval count:\s+(?P<tokens>[0-9]{1,15}) token", re.MULTILINE)


class Think(StrEnum):
    """How much the model thinks; ollama's own words. Not every model knows all of them."""

    FALSE = "false"
    TRUE = "true"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class OllamaOptions(AgentOptions, frozen=True, kw_only=True):
    """What `ollama` can be set to. `model` is a must: there is none by default."""

    system_prompt: str = ""
    """Told to the model in front of the prompt: the command has no other way."""
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


class _OllamaConversation(PlainConversation):
    thinking = ("Thinking...\n", "...done thinking.")

    def __init__(self, model: str) -> None:
        super().__init__()
        self._model = model

    def end(self, exit: ProcessExit) -> Iterable[Entry]:  # noqa: A002 - the word for it
        yield from super().end(exit)
        counts = {bool(found["prompt"]): int(found["tokens"]) for found in _COUNT.finditer(self.trouble)}
        if counts:
            usage = Usage(input_tokens=counts.get(True, 0), output_tokens=counts.get(False, 0))
            yield UsageReported(usage=usage, model=self._model)


def _options_of(run: AgentRun) -> OllamaOptions:
    options = read_options("ollama", run.options, OllamaOptions)
    require_clean(options)
    if options.model is None:
        remedy = "name one that `ollama list` shows"
        raise InvalidInput(field="option model", reason="executor ollama cannot do without it", remedy=remedy)
    if options.model.startswith("-"):
        raise InvalidInput(field="option model", reason=f"{options.model!r} is no name of a model")
    if options.keepalive is not None and (not options.keepalive.strip() or "\0" in options.keepalive):
        raise InvalidInput(field="option keepalive", reason="is no duration", remedy="write it as 5m, or leave it out")
    return options


def _flags(options: OllamaOptions) -> Iterator[str]:
    yield from (options.model or "", "--verbose", "--nowordwrap")
    if options.think is not None:
        yield f"--think={options.think}"
    if options.keepalive is not None:
        yield f"--keepalive={options.keepalive}"
    if options.insecure:
        yield "--insecure"
