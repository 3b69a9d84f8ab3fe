"""Executor `scripted`: an agent that follows a list of steps. For demonstrations and for tests of AURA itself.

    rounds = [
        [{"say": "I shall add a greeting"}, {"write": {"path": "hello.txt", "text": "hello\\n"}}],
        [{"expect_prompt": "louder"}, {"edit": {"path": "hello.txt", "old": "hello", "new": "HELLO"}}],
    ]

A new session plays the first round and each follow-up the next one, repeating the last; a run that was cut off plays
its round again. The session's id, ``scripted-<rounds done>``, names the round, so nothing is stored. The steps and
their arguments (those in brackets are optional, a single one may replace the table):

    write           path, text                      make or replace a file, and its folders
    append          path, text
    edit            path, old, new                  `old` must be in the file once
    delete          path                            a file, or a folder with all in it
    rename          path, to
    print           text [stream, repeat, newline]  plain output, `stream` being stdout or stderr
    print_prompt                                    the prompt, as plain output
    expect_prompt   contains                        fail if the prompt lacks this
    close           stream                          close it, and continue
    sleep           seconds
    wait_for        path                            wait until it exists; may be outside the folder
    say             text                            a message to the human
    session         id                              the session's id, instead of ``scripted-<n>``
    usage           [input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost]
    ask             tool [arguments, diff, then, otherwise]    ask for permission; two lists of steps
    spawn           argv [detach, wait]             start a program, which prints ``spawned PID``; `detach`: setsid
    ignore_signals  [numbers]                       by default SIGHUP, SIGINT and SIGTERM
    signal          number                          send it to oneself
    fail            [exit_code, message, reason]    `reason` is one of `FailureReason`, said in the agent's protocol

The agent (`aura_executors.scripted.agent`) is a real process. Paths cannot leave the folder it works in.
"""

import shutil
import sys
from collections.abc import Mapping

from aura_contracts.ports.executors import AgentRun, Availability, Capability, Conversation, Executor, Launch
from aura_executors.scripted.launch_plan import ScriptedOptions, launch_of
from aura_executors.scripted.transcript import ScriptedConversation

__all__ = ["ScriptedConversation", "ScriptedExecutor", "ScriptedOptions"]


class ScriptedExecutor(Executor):
    """Runs steps."""

    name = "scripted"
    summary = "an agent that follows a list of steps, for demonstrations and tests"
    capability = Capability(resume=True, permissions=True, plan=True, protocol=True)

    def launch(self, run: AgentRun) -> Launch:
        return launch_of(self.name, run)

    def converse(self, run: AgentRun) -> Conversation:
        return ScriptedConversation()

    def availability(self, environment: Mapping[str, str]) -> Availability:
        found = shutil.which(sys.executable)
        if found is None:
            return Availability(available=False, reason="the Python that runs AURA does not know its own executable")
        return Availability(available=True, executable=found, version=sys.version.split()[0])
