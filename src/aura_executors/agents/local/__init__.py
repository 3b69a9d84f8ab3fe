"""Executor `local`: a small agent of AURA's own, for any server with OpenAI's chat completions.

    aura run --executor local --openai-endpoint http://127.0.0.1:11434/v1 --model qwen3-coder --prompt "..."

With it, a local model can do real work without another program: it reads, lists, searches, writes and edits files, runs
shell commands, and asks before it changes anything, depending on the option `autonomy`. The program (the folder
`program`) only needs Python's standard library. Each conversation is a file on disk, so follow-ups resume it and a fork
copies it. When a session is resumed, an interrupted call is reported to the model and not repeated automatically. The
outcome is in the program's last line.

======================  ================================================================================================
success                 ``finished`` without a failure
failure                 ``finished`` with one: no answer, a conversation too long, too many turns
no final word           the stream ends without ``finished``: a failure, whatever the exit code is
rate limit              HTTP status 429, tried again as the server asks with Retry-After, and still
authentication          HTTP status 401 or 403
refused                 the model refused, or its server withheld the answer
session lost            the conversation does not exist here
interrupted             it reports so itself, after SIGINT and SIGTERM
lack of permission      what was denied, or not permitted at all; `PermissionDenied` if it waited for an answer, and
                        standard input came to its end
======================  ================================================================================================

Quirks of servers that it handles:

- Some restart numbering calls in each answer, omit ids or indexes, or print calls into the text (``<tool_call>``).
- Some put thoughts into the text (``<think>``), do not stream, or report no usage.
"""

from collections.abc import Mapping

from aura_contracts.ports.executors import AgentRun, Availability, Capability, Conversation, Executor, Launch
from aura_executors.adapter.option_reader import read_options
from aura_executors.adapter.options import silencing_option
from aura_executors.adapter.service_url import ENDPOINT_VARIABLE
from aura_executors.agents.local.command import Autonomy, LocalOptions, launch_of
from aura_executors.agents.local.conversation import LocalConversation

__all__ = ["Autonomy", "LocalConversation", "LocalExecutor", "LocalOptions"]


class LocalExecutor(Executor):
    """Runs AURA's own agent with the model of any endpoint."""

    name = "local"
    summary = "AURA's own small agent, for any OpenAI-compatible endpoint: --openai-endpoint URL, --model NAME"
    capability = Capability(resume=True, fork=True, permissions=True, plan=True, protocol=True)

    def launch(self, run: AgentRun) -> Launch:
        return launch_of(run)

    def converse(self, run: AgentRun) -> Conversation:
        return LocalConversation()

    def silencing_option(self, options: Mapping[str, object]) -> str | None:
        return silencing_option(read_options(self.name, options, LocalOptions), LocalOptions.silencing)

    def availability(self, environment: Mapping[str, str]) -> Availability:
        endpoint = environment.get(ENDPOINT_VARIABLE)
        remedy = "" if endpoint else "name a server: --openai-endpoint http://127.0.0.1:11434/v1, say"
        key = bool(environment.get("OPENAI_API_KEY"))
        how = f"variable OPENAI_API_KEY is {'set' if key else 'not set; local servers need none'}"
        return Availability(available=True, logged_in=True if key else None, login=how, remedy=remedy)
