"""A model that says what a scenario says, behind the APIs of four services: in this process, or as a program.

    steps = [{"write": {"path": "a.txt", "content": "hi"}}, {"text": "done"}]
    with scripted_model({"turns": [{"steps": steps}]}) as url:
        ...  # base URL; url.requests is what was asked so far

    python scripted_model.py --scenario S.json [--port N] [--port-file P] [--log LOG.jsonl] [--dump DIR]

Imitates OpenAI chat completions (POST */chat/completions), OpenAI responses (POST */responses), Anthropic messages
(POST */v1/messages[/count_tokens]), Gemini (POST */models/M:generateContent|streamGenerateContent|countTokens) and
GET */models. Anything else: 404. Loopback only, standard library only.

Answers are chosen from the request alone, so retries and side calls are harmless. A request that offers no tools is a
side call (title, summary, probe) and gets scenario["aux"], unless the scenario has "no_tools_ok". Else the last real
prompt selects the turn (the first whose "match" is in it; one without "match" matches all), and the number of
the model's rounds of tool calls since then selects the step (the last one repeats).

    {"write": {"path": "a.txt", "content": "hi"}}   abstract; done with a tool that the client offers
    {"shell": "echo hi > a.txt"}                    abstract; the same
    {"tool": {"name": "X", "args": {...}}}          literal
    {"text": "done"}                                the answer
    {"status": 500, "error": "boom", "headers": {}} an HTTP error; "times": n, the first n times, "then": a step
    {"drop": true}                                  cut the connection after the first piece ("text" of several)
    {"malformed": true}                             broken JSON in the stream

Beside them: "chunk_delay" and "first_delay" in seconds, "chunks", and "say", a text before a tool call. In the
scenario: "turns"; "root", the folder that paths begin in (without it they stay relative); "usage": {"in", "out"};
"models". One file, longer than others, because it must be able to run by itself.
"""

import argparse
import gzip
import json
import re
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Json = dict[str, Any]
Tools = dict[str, str]
"""The kind of each tool that the client offers: function, custom, ..."""

ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(part["text"] for part in content if isinstance(part, dict) and part.get("text"))
    return ""


# --- Requests: the prompt, the rounds of tool calls since, the tools --------------------------------------------------


def read_anthropic(body: Json) -> tuple[str, int, Tools]:
    tools = {tool.get("name"): "function" for tool in body.get("tools") or []}
    prompt, rounds = "", 0
    for message in body.get("messages", []):
        content = message.get("content")
        kinds = {block.get("type") for block in content} if isinstance(content, list) else set()
        if message["role"] == "user" and "tool_result" not in kinds:
            text = text_of(content)
            # reminders may come as a user's message of their own, between rounds
            if prompt and not re.sub(r"(?s)<system-reminder>.*?</system-reminder>", "", text).strip():
                continue
            prompt, rounds = text, 0
        elif message["role"] == "assistant" and "tool_use" in kinds:
            rounds += 1
    return prompt, rounds, tools


def read_chat(body: Json) -> tuple[str, int, Tools]:
    tools = {
        (tool.get("function") or tool.get("custom") or tool).get("name"): tool.get("type", "function")
        for tool in body.get("tools") or []
    }
    prompt, rounds = "", 0
    for message in body.get("messages", []):
        if message["role"] == "user":
            prompt, rounds = text_of(message.get("content")), 0
        elif message["role"] == "assistant" and message.get("tool_calls"):
            rounds += 1
    return prompt, rounds, tools


def read_responses(body: Json) -> tuple[str, int, Tools]:
    tools: Tools = {}

    def add(offered: Any) -> None:
        for tool in offered or []:
            if tool.get("type") == "namespace":
                add(tool.get("tools"))
            else:
                tools[tool.get("name") or tool.get("type")] = tool.get("type", "function")

    add(body.get("tools"))
    given = body.get("input")
    prompt, rounds = "", 0
    for item in [{"role": "user", "content": given}] if isinstance(given, str) else given or []:
        kind = item.get("type", "message")
        if kind == "message" and item.get("role") == "user":
            text = text_of(item.get("content"))
            if not text.lstrip().startswith(("<environment_context", "<user_instructions", "# AGENTS.md")):
                prompt, rounds = text, 0
        elif kind.endswith("_call"):
            rounds += 1
        elif kind == "additional_tools":
            add(item.get("tools"))
    return prompt, rounds, tools


def read_gemini(body: Json) -> tuple[str, int, Tools]:
    tools = {
        function["name"]: "function"
        for tool in body.get("tools") or []
        for function in tool.get("functionDeclarations") or []
    }
    prompt, rounds = "", 0
    for message in body.get("contents", []):
        parts = message.get("parts") or []
        if message.get("role") == "user" and not any("functionResponse" in part for part in parts):
            prompt, rounds = text_of(parts), 0
        elif message.get("role") == "model" and any("functionCall" in part for part in parts):
            rounds += 1
    return prompt, rounds, tools


READERS: dict[str, Callable[[Json], tuple[str, int, Tools]]] = {
    "anthropic": read_anthropic,
    "chat": read_chat,
    "responses": read_responses,
    "gemini": read_gemini,
}


def resolve(step: Json, tools: Tools, root: str) -> tuple[str, str, Any]:
    """Return kind, name and arguments of the call that a step is, by a tool that the client offers."""
    if "tool" in step:
        name = step["tool"]["name"]
        return tools.get(name, "function"), name, step["tool"].get("args", {})
    command = step.get("shell")
    if "write" in step:
        content = step["write"]["content"]
        path = str(Path(root) / step["write"]["path"])
        lines = "".join(f"+{line}\n" for line in content.rstrip("\n").split("\n"))
        patch = f"*** Begin Patch\n*** Add File: {path}\n{lines}*** End Patch\n"
        for name, arguments in (
            ("Write", {"file_path": path, "content": content}),
            ("write_file", {"file_path": path, "content": content}),
            ("write", {"filePath": path, "content": content}),
            ("create", {"path": path, "file_text": content}),
            ("create_file", {"path": path, "content": content}),
        ):
            if name in tools:
                return "function", name, arguments
        if "apply_patch" in tools:
            custom = tools["apply_patch"] == "custom"
            return ("custom", "apply_patch", patch) if custom else ("function", "apply_patch", {"input": patch})
        quoted = content.replace("'", "'\\''")
        command = f"printf '%s' '{quoted}' > '{path}'"
    for name, arguments in (
        ("exec_command", {"cmd": command}),
        ("shell_command", {"command": command}),
        ("shell", {"command": ["bash", "-lc", command]}),
        ("Bash", {"command": command, "description": "run it"}),
        ("bash", {"command": command, "description": "run it"}),
        ("run_shell_command", {"command": command, "description": "run it", "is_background": False}),
    ):
        if name in tools:
            return tools[name], name, arguments
    return "function", next(iter(tools), "bash"), {"command": command}


# --- The server -------------------------------------------------------------------------------------------------------


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, scenario: Json, port: int = 0, log: str | None = None, dump: str | None = None) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.scenario = scenario
        self.usage = scenario.get("usage", {"in": 11, "out": 7})
        self.requests: list[Json] = []
        self._log = log
        self._dump = dump
        self._failures: dict[tuple[Any, int], int] = {}
        self._lock = threading.Lock()
        self._begun = time.monotonic()

    def log(self, **fields: Any) -> None:
        if self._log:
            with self._lock, Path(self._log).open("a") as file:
                file.write(json.dumps({"t": round(time.monotonic() - self._begun, 3), **fields}) + "\n")

    def keep(self, path: str, headers: Json, body: Any) -> None:
        with self._lock:
            self.requests.append({"path": path, "headers": headers, "body": body})
            if self._dump:
                folder = Path(self._dump)
                folder.mkdir(parents=True, exist_ok=True)
                place = folder / f"{len(self.requests):03}.json"
                place.write_text(json.dumps(self.requests[-1], indent=1))

    def failures(self, turn: Any, rounds: int) -> int:
        """Return how often this step has failed, now included."""
        with self._lock:
            self._failures[turn, rounds] = self._failures.get((turn, rounds), 0) + 1
            return self._failures[turn, rounds]

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name it has there
        pass

    def say(self, code: int, value: Any, headers: Json | None = None) -> None:
        data = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(data)

    def begin_events(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("cache-control", "no-cache")
        self.send_header("connection", "close")
        self.close_connection = True
        self.end_headers()

    def event(self, value: Any, name: str | None = None) -> None:
        data = value if isinstance(value, str) else json.dumps(value)
        self.wfile.write(((f"event: {name}\n" if name else "") + f"data: {data}\n\n").encode())
        self.wfile.flush()

    def do_GET(self) -> None:
        self.server.log(method="GET", path=self.path)
        if not self.path.split("?")[0].rstrip("/").endswith("/models"):
            self.say(404, {"error": {"message": "not found", "type": "not_found"}})
            return
        models = [
            {"id": name, "object": "model", "type": "model", "created": 1, "owned_by": "fake", "display_name": name}
            for name in self.server.scenario.get("models", ["fake-model"])
        ]
        self.say(200, {"object": "list", "data": models, "models": [], "has_more": False})

    def do_HEAD(self) -> None:
        self.server.log(method="HEAD", path=self.path)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        body = self._body()
        self.server.keep(self.path, dict(self.headers), body)
        path = self.path.split("?")[0]
        streams = bool(body.get("stream"))
        if path.endswith(("/count_tokens", ":countTokens")):
            self.server.log(method="POST", path=self.path)
            self.say(200, {"input_tokens" if path.endswith("/count_tokens") else "totalTokens": 42})
        elif path.endswith("/messages"):
            self._answer("anthropic", body, streams=streams)
        elif path.endswith("/chat/completions"):
            self._answer("chat", body, streams=streams)
        elif path.endswith("/responses"):
            self._answer("responses", body, streams=streams)
        elif "enerateContent" in path:
            self._answer("gemini", body, streams="stream" in path.rsplit(":", 1)[1])
        else:
            self.server.log(method="POST", path=self.path, unknown=True)
            self.say(404, {"error": {"message": "not found", "type": "not_found"}})

    def _body(self) -> Json:
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            data = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            data = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.headers.get("content-encoding") == "gzip":
            data = gzip.decompress(data)
        try:
            body = json.loads(data or b"{}")
        except ValueError:
            body = {}
        return body if isinstance(body, dict) else {}

    def _step(self, prompt: str, rounds: int, tools: Tools) -> tuple[Any, Json]:
        scenario = self.server.scenario
        if not tools and not scenario.get("no_tools_ok"):
            return "aux", scenario.get("aux", {"text": "Fake title"})
        turns = scenario["turns"]
        number = next((i for i, turn in enumerate(turns) if turn.get("match", "") in prompt), len(turns) - 1)
        steps = turns[number]["steps"]
        return number, steps[min(rounds, len(steps) - 1)]

    def _answer(self, api: str, body: Json, *, streams: bool) -> None:
        prompt, rounds, tools = READERS[api](body)
        turn, step = self._step(prompt, rounds, tools)
        kinds = ("status", "drop", "malformed", "write", "shell", "tool", "text")
        self.server.log(
            method="POST",
            path=self.path,
            api=api,
            model=body.get("model"),
            stream=streams,
            turn=turn,
            k=rounds,
            step=next((kind for kind in kinds if kind in step), "?"),
            slow=bool(step.get("chunk_delay") or step.get("first_delay")),
            tools=sorted(map(str, tools)),
            prompt=prompt[-160:],
        )
        time.sleep(step.get("first_delay", 0))
        if "status" in step:
            if self.server.failures(turn, rounds) <= step.get("times", 10**9):
                self._fail(api, step)
                return
            step = step.get("then", {"text": "recovered"})
        try:
            getattr(self, f"_as_{api}")(body, step, tools, streams=streams)
        except (BrokenPipeError, ConnectionResetError):
            self.server.log(client_gone=True)

    def _fail(self, api: str, step: Json) -> None:
        message, code = step.get("error", "scripted failure"), step["status"]
        kind = ERRORS.get(code, "api_error")
        error: Json = {"error": {"message": message, "type": kind, "param": None, "code": None}}
        if api == "anthropic":
            error = {"type": "error", "error": {"type": kind, "message": message}}
        elif api == "gemini":
            status = "INTERNAL" if code >= 500 else "UNAUTHENTICATED"
            error = {"error": {"code": code, "message": message, "status": status}}
        self.say(code, error, step.get("headers"))

    def pieces(self, step: Json) -> Iterator[str]:
        text = said(step)
        count = step.get("chunks") or (1 if len(text) < 8 else 3)
        width = max(1, -(-len(text) // count))
        for start in range(0, len(text), width):
            if start and step.get("drop"):
                self.wfile.flush()
                raise ConnectionResetError
            yield text[start : start + width]
            time.sleep(step.get("chunk_delay", 0))

    def call(self, step: Json, tools: Tools) -> tuple[str, str, Any] | None:
        if not step.keys() & {"write", "shell", "tool"}:
            return None
        return resolve(step, tools, self.server.scenario.get("root", ""))

    # --- OpenAI chat completions

    def _as_chat(self, body: Json, step: Json, tools: Tools, *, streams: bool) -> None:
        tokens = self.server.usage
        usage = {
            "prompt_tokens": tokens["in"],
            "completion_tokens": tokens["out"],
            "total_tokens": tokens["in"] + tokens["out"],
        }
        base = {"id": f"chatcmpl-{short()}", "created": int(time.time()), "model": body.get("model")}
        called = self.call(step, tools)
        end = "tool_calls" if called else "stop"
        calls = []
        if called:
            function = {"name": called[1], "arguments": json.dumps(called[2])}
            calls = [{"id": f"call_{short()}", "type": "function", "function": function}]
        if not streams:
            message: Json = {
                "role": "assistant",
                "content": said(step) or None,
                **({"tool_calls": calls} if calls else {}),
            }
            choice = {"index": 0, "message": message, "finish_reason": end}
            self.say(200, {**base, "object": "chat.completion", "usage": usage, "choices": [choice]})
            return
        self.begin_events()
        base["object"] = "chat.completion.chunk"

        def chunk(delta: Json, finish: str | None = None) -> None:
            self.event({**base, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

        chunk({"role": "assistant", "content": ""})
        if step.get("malformed"):
            self.event('{"id": "x", "choi')
        for piece in self.pieces(step):
            chunk({"content": piece})
        for call in calls:
            chunk({"tool_calls": [{"index": 0, **call}]})
        chunk({}, end)
        self.event({**base, "choices": [], "usage": usage})
        self.event("[DONE]")

    # --- OpenAI responses

    def _as_responses(self, body: Json, step: Json, tools: Tools, *, streams: bool) -> None:
        tokens = self.server.usage
        usage = {
            "input_tokens": tokens["in"],
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": tokens["out"],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": tokens["in"] + tokens["out"],
        }
        output: list[Json] = []
        response_id = f"resp_{short()}"

        def response(status: str) -> Json:
            done = status == "completed"
            return {
                "id": response_id,
                "object": "response",
                "created_at": int(time.time()),
                "status": status,
                "model": body.get("model"),
                "output": output if done else [],
                "usage": usage if done else None,
                "error": None,
                "incomplete_details": None,
                "parallel_tool_calls": False,
                "tools": [],
                "tool_choice": "auto",
            }

        numbers = iter(range(10**9))

        def event(kind: str, **fields: Any) -> None:
            if streams:
                self.event({"type": kind, "sequence_number": next(numbers), **fields}, kind)

        if streams:
            self.begin_events()
        event("response.created", response=response("in_progress"))
        if step.get("malformed") and streams:
            self.event('{"type": "resp', "response.output_text.delta")
        if said(step):
            self._responses_text(step, output, event)
        if called := self.call(step, tools):
            _responses_call(called, output, event)
        event("response.completed", response=response("completed"))
        if not streams:
            self.say(200, response("completed"))

    def _responses_text(self, step: Json, output: list[Json], event: Callable[..., None]) -> None:
        item_id = f"msg_{short()}"
        at = {"item_id": item_id, "output_index": 0, "content_index": 0}
        item = {"id": item_id, "type": "message", "status": "in_progress", "role": "assistant", "content": []}
        event("response.output_item.added", output_index=0, item=item)
        empty = {"type": "output_text", "text": "", "annotations": []}
        event("response.content_part.added", **at, part=empty)
        for piece in self.pieces(step):
            event("response.output_text.delta", **at, delta=piece)
        event("response.output_text.done", **at, text=said(step))
        part = {**empty, "text": said(step)}
        event("response.content_part.done", **at, part=part)
        output.append({**item, "status": "completed", "content": [part]})
        event("response.output_item.done", output_index=0, item=output[-1])

    # --- Anthropic messages

    def _as_anthropic(self, body: Json, step: Json, tools: Tools, *, streams: bool) -> None:
        tokens = self.server.usage
        usage = {
            "input_tokens": tokens["in"],
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": tokens["out"],
        }
        called = self.call(step, tools)
        use = {"type": "tool_use", "id": f"toolu_{short()}", "name": called[1], "input": called[2]} if called else None
        stop = "tool_use" if use else "end_turn"
        base: Json = {
            "id": f"msg_{short()}",
            "type": "message",
            "role": "assistant",
            "model": body.get("model"),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        if not streams:
            blocks = [{"type": "text", "text": said(step)}] if said(step) else []
            self.say(200, {**base, "content": [*blocks, *([use] if use else [])], "stop_reason": stop})
            return
        self.begin_events()

        def event(kind: str, **fields: Any) -> None:
            self.event({"type": kind, **fields}, kind)

        event("message_start", message={**base, "usage": {**usage, "output_tokens": 1}})
        index = 0
        if step.get("malformed"):
            self.event('{"type": "content_bl', "content_block_start")
        if said(step):
            event("content_block_start", index=index, content_block={"type": "text", "text": ""})
            for piece in self.pieces(step):
                event("content_block_delta", index=index, delta={"type": "text_delta", "text": piece})
            event("content_block_stop", index=index)
            index += 1
        if use:
            event("content_block_start", index=index, content_block={**use, "input": {}})
            delta = {"type": "input_json_delta", "partial_json": json.dumps(use["input"])}
            event("content_block_delta", index=index, delta=delta)
            event("content_block_stop", index=index)
        delta = {"stop_reason": stop, "stop_sequence": None}
        event("message_delta", delta=delta, usage={"output_tokens": tokens["out"]})
        event("message_stop")

    # --- Gemini

    def _as_gemini(self, body: Json, step: Json, tools: Tools, *, streams: bool) -> None:
        tokens = self.server.usage
        called = self.call(step, tools)
        model = re.search(r"models/([^:]+):", self.path)

        def answer(parts: list[Json], finish: str | None = None) -> Json:
            candidate: Json = {"content": {"role": "model", "parts": parts}, "index": 0}
            if finish:
                candidate["finishReason"] = finish
            return {
                "candidates": [candidate],
                "usageMetadata": {
                    "promptTokenCount": tokens["in"],
                    "candidatesTokenCount": tokens["out"],
                    "totalTokenCount": tokens["in"] + tokens["out"],
                },
                "modelVersion": model[1] if model else "fake",
                "responseId": short(),
            }

        calls = [{"functionCall": {"name": called[1], "args": called[2]}}] if called else []
        if not streams:
            texts = [{"text": said(step)}] if said(step) else []
            self.say(200, answer([*texts, *calls], "STOP"))
            return
        self.begin_events()
        if step.get("malformed"):
            self.event('{"candidates": [{')
        for piece in self.pieces(step):
            self.event(answer([{"text": piece}]))
        self.event(answer(calls or [{"text": ""}], "STOP"))


def _responses_call(called: tuple[str, str, Any], output: list[Json], event: Callable[..., None]) -> None:
    kind, name, arguments = called
    custom = kind == "custom"
    field = "input" if custom else "arguments"
    made = short()
    item = {
        "id": f"{'ctc' if custom else 'fc'}_{made}",
        "type": "custom_tool_call" if custom else "function_call",
        "call_id": f"call_{made}",
        "name": name,
        field: arguments if custom and isinstance(arguments, str) else json.dumps(arguments),
        "status": "completed",
    }
    index = len(output)
    output.append(item)
    at = {"item_id": item["id"], "output_index": index}
    stem = "response.custom_tool_call_input" if custom else "response.function_call_arguments"
    event("response.output_item.added", output_index=index, item={**item, field: "", "status": "in_progress"})
    event(f"{stem}.delta", **at, delta=item[field])
    event(f"{stem}.done", **at, **{field: item[field]})
    event("response.output_item.done", output_index=index, item=item)


def said(step: Json) -> str:
    return str(step.get("text") or step.get("say") or "")


def short() -> str:
    return uuid.uuid4().hex[:12]


# --- Starting ---------------------------------------------------------------------------------------------------------


class ModelUrl(str):  # noqa: SLOT000 - it has an attribute
    """The base URL of a scripted model, without ``/v1``; `requests` is what it was asked: path, headers, body."""

    requests: list[Json]


@contextmanager
def scripted_model(scenario: Json) -> Iterator[ModelUrl]:
    """Serve `scenario` from a thread of this process, as long as the block runs."""
    with Server(scenario) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        url = ModelUrl(f"http://127.0.0.1:{server.server_address[1]}")
        url.requests = server.requests
        try:
            yield url
        finally:
            server.shutdown()
            thread.join()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--scenario", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--port-file")
    parser.add_argument("--log")
    parser.add_argument("--dump")
    given = parser.parse_args()
    with Server(json.loads(Path(given.scenario).read_text()), given.port, given.log, given.dump) as server:
        port = str(server.server_address[1])
        if given.port_file:
            draft = Path(f"{given.port_file}.tmp")
            draft.write_text(port)
            draft.rename(given.port_file)
        else:
            sys.stdout.write(f"{port}\n")
            sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    main()
