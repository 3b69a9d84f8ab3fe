"""The scripted model of the tests: as a program, and behind each of the services' APIs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

import scripted_model as module
from scripted_model import scripted_model

WRITE = {"write": {"path": "a.txt", "content": "hi"}, "say": "I write"}
SCENARIO = {"turns": [{"match": "write", "steps": [WRITE, {"text": "written"}]}, {"steps": [{"text": "hello"}]}]}

APIS: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "chat": (
        "/v1/chat/completions",
        {"messages": [{"role": "user", "content": "write"}], "tools": [{"function": {"name": "write_file"}}]},
        '"arguments": "{\\"file_path\\": \\"/r/a.txt\\"',
        "[DONE]",
    ),
    "responses": (
        "/v1/responses",
        {"input": "write", "tools": [{"type": "custom", "name": "apply_patch"}]},
        "*** Add File: /r/a.txt",
        "response.completed",
    ),
    "anthropic": (
        "/v1/messages",
        {"messages": [{"role": "user", "content": "write"}], "tools": [{"name": "Bash"}]},
        "printf '%s' 'hi' > '/r/a.txt'",
        "message_stop",
    ),
    "gemini": (
        "/v1beta/models/m:streamGenerateContent",
        {
            "contents": [{"role": "user", "parts": [{"text": "write"}]}],
            "tools": [{"functionDeclarations": [{"name": "write_file"}]}],
        },
        '"file_path": "/r/a.txt"',
        '"finishReason": "STOP"',
    ),
}


def post(url: str, body: dict[str, Any]) -> str:
    with urlopen(Request(url, json.dumps(body).encode(), {"content-type": "application/json"}), timeout=60) as answer:
        return answer.read().decode()


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("api", APIS)
def test_every_api_writes_with_the_tool_that_is_offered(api: str, streams: bool):
    path, body, called, last = APIS[api]
    if not streams:
        path = path.replace("streamGenerateContent", "generateContent")
    with scripted_model({**SCENARIO, "root": "/r"}) as url:
        answer = post(url + path, {**body, "stream": streams})
        assert len(url.requests) == 1
    assert called in answer
    assert streams or "I write" in answer
    assert (last in answer) is (streams or api == "gemini")


def test_it_runs_as_a_program(tmp_path: Path):
    scenario = tmp_path / "scenario.json"
    scenario.write_text(json.dumps(SCENARIO))
    command = [sys.executable, module.__file__, "--scenario", str(scenario), "--log", str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            port = int(process.stdout.readline())
            body = {"messages": [{"role": "user", "content": "good day"}], "tools": [{"function": {"name": "x"}}]}
            answer = json.loads(post(f"http://127.0.0.1:{port}/v1/chat/completions", body))
        finally:
            process.kill()
    assert answer["choices"][0]["message"]["content"] == "hello"
    assert json.loads((tmp_path / "log").read_text())["step"] == "text"
