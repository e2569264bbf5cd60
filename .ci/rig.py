"""Providers, clients and a gateway for scenarios and soaks, on one event loop. Nothing but the standard library.

A provider's behaviour is a coroutine that is given each request with the connection to answer on; a client reads exact bytes and says
how a request ended. Both count what is open, so that what is left over shows.
"""

import asyncio
import base64
import contextlib
import json
import os
import pathlib
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

PNG = b"\x89PNG\r\n\x1a\n"
PATIENCE_S = 90


def free_address():
    """Below the range the kernel hands out, so that nobody takes it meanwhile."""
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            address = ("127.0.0.1", random.randrange(10_000, 15_000))
            probe.bind(address)
            return f"{address[0]}:{address[1]}"


class Gateway:
    """A running gateway of a configuration without listeners; a process of its own."""

    def __init__(self, yaml):
        self.folder = tempfile.TemporaryDirectory()
        self.address, self.admin = free_address(), free_address()
        path = pathlib.Path(self.folder.name) / "heliostat.yaml"
        path.write_text(f'listen: {self.address}\nadmin: {{ listen: "{self.admin}" }}\n{yaml}')
        log = open(pathlib.Path(self.folder.name) / "log", "wb")
        environment = {"PATH": os.environ["PATH"], "KEY_A": "key-a", "KEY_B": "key-b"}
        command = [os.environ["HELIOSTAT_BIN"], "run", "--config", str(path)]
        self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    async def __aenter__(self):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError):
                if (await get(self.address, "/readyz"))[0] == 200:
                    return self
            await asyncio.sleep(0.02)
        sys.exit("the gateway was not ready:\n" + (pathlib.Path(self.folder.name) / "log").read_text())

    async def __aexit__(self, *_):
        self.process.kill()
        self.process.wait()

    async def metric(self, name):
        """The sum of a metric over its labels."""
        text = (await get(self.admin, "/metrics"))[1].decode()
        return sum(float(value) for value in re.findall(rf"^heliostat_{name}(?:{{[^}}]*}})? ([0-9.e+]+)$", text, re.M))

    def resident_bytes(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))

    def sockets(self):
        """Open sockets, listeners among them."""
        folder, count = pathlib.Path(f"/proc/{self.process.pid}/fd"), 0
        for entry in folder.iterdir():
            with contextlib.suppress(OSError):
                count += os.readlink(entry).startswith("socket:")
        return count


class Provider:
    """A provider whose `behave(request)` answers; it may be changed at any time."""

    def __init__(self, behave):
        self.behave = behave
        self.requests = 0
        self.open = 0
        self.busy = 0
        self.keys = []

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.converse, "127.0.0.1", 0, backlog=2_048, limit=1 << 20)
        self.url = "http://127.0.0.1:%d/v1" % self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()

    async def converse(self, reader, writer):
        self.open += 1
        try:
            while head := await read_head(reader):
                length = int(head.get("content-length", 0))
                body = await reader.readexactly(length)
                self.requests += 1
                self.keys.append(head.get("authorization", "").removeprefix("Bearer "))
                request = Request(reader, writer, body, self.keys[-1])
                self.busy += 1
                try:
                    await self.behave(request)
                finally:
                    self.busy -= 1
                if not request.whole:
                    break
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.open -= 1
            writer.close()


class Request:
    """A request at a provider, and how it is answered."""

    def __init__(self, reader, writer, body, key):
        self.reader, self.writer, self.body, self.key = reader, writer, body, key
        self.stream = b'"stream":true' in body[:400] or b'"stream": true' in body[:400]
        self.whole = False

    async def status(self, status, headers=(), body=None):
        body = body or json.dumps({"error": {"message": f"status {status}", "type": "server_error", "code": None, "param": None}})
        lines = [f"HTTP/1.1 {status} Status", "content-type: application/json", f"content-length: {len(body)}", *headers]
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
        await self.writer.drain()
        self.whole = True

    async def reply(self, text):
        message = {"role": "assistant", "content": text}
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        await self.status(200, body=json.dumps({"id": "c", "object": "chat.completion", "model": "m", "choices": choices, "usage": usage}))

    async def events(self, words, pause_s):
        """A whole stream, a word at a time."""
        await self.begin()
        for word in words:
            await self.word(word)
            await asyncio.sleep(pause_s)
        await self.finish()

    async def begin(self):
        self.writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        await self.writer.drain()

    async def word(self, word):
        await self.event({"delta": {"content": word}, "finish_reason": None})

    async def event(self, choice):
        data = {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [{"index": 0, **choice}]}
        await self.chunk(f"data: {json.dumps(data)}\n\n".encode())

    async def chunk(self, data):
        self.writer.write(b"%x\r\n%s\r\n" % (len(data), data))
        await self.writer.drain()

    async def finish(self):
        await self.event({"delta": {}, "finish_reason": "stop"})
        await self.chunk(b"data: [DONE]\n\n")
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()
        self.whole = True

    async def silence(self):
        """Nothing, until the gateway leaves."""
        while await self.reader.read(65_536):
            pass

    def reset(self):
        self.writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.writer.transport.abort()


class Answer:
    """How a request ended, as its client sees it."""

    def __init__(self, status, headers, body, began, first_s):
        self.status, self.headers, self.body = status, headers, body
        self.began, self.took_s, self.first_s = began, time.monotonic() - began, first_s
        self.attempts = [attempt for attempt in headers.get("x-heliostat-attempts", "").split(", ") if attempt]

    def text(self):
        if self.headers.get("content-type", "").startswith("text/event-stream"):
            chunks = [json.loads(line[6:]) for line in self.body.decode().splitlines() if line.startswith("data: {")]
            return "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if "choices" in c)
        return json.loads(self.body)["choices"][0]["message"]["content"]

    def good(self):
        """A whole answer."""
        if self.status != 200:
            return False
        is_stream = self.headers.get("content-type", "").startswith("text/event-stream")
        return self.body.rstrip().endswith(b"data: [DONE]") if is_stream else b'"stop"' in self.body


class Left(Exception):
    """The client left before the end, as it was told to."""


async def chat(gateway, body, headers=(), leave_after_s=None):
    """One request on a connection of its own. Raises [Left]; a connection that breaks gives an answer that is not good."""
    began, first_s = time.monotonic(), None
    host, port = gateway.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 22)
    try:
        payload = json.dumps(body).encode()
        lines = [f"POST /v1/chat/completions HTTP/1.1", "host: x", "content-type: application/json", f"content-length: {len(payload)}"]
        writer.write("\r\n".join([*lines, *headers, "connection: close", "\r\n"]).encode() + payload)
        async with asyncio.timeout(leave_after_s or PATIENCE_S):
            head = await read_head(reader) or {"status": 0}
            data = b""
            while piece := await reader.read(1 << 16):
                first_s = first_s or time.monotonic() - began
                data += piece
        if head.get("transfer-encoding") == "chunked":
            data = unchunked(data)
        return Answer(head.pop("status"), head, data, began, first_s)
    except TimeoutError:
        if leave_after_s:
            raise Left from None
        return Answer(0, {}, b"", began, first_s)
    except OSError:
        return Answer(0, {}, b"", began, first_s)
    finally:
        writer.close()


async def get(address, path):
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n".encode())
    head = await read_head(reader)
    body = await reader.read()
    writer.close()
    return head["status"], unchunked(body) if head.get("transfer-encoding") == "chunked" else body


async def read_head(reader):
    """Header fields in lower case, with `status` in an answer; nothing at the end of the connection."""
    try:
        block = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = block.decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    if first.startswith("HTTP/"):
        fields["status"] = int(first.split()[1])
    return fields


def unchunked(data):
    out, at = [], 0
    while (end := data.find(b"\r\n", at)) >= 0 and (size := int(data[at:end] or b"0", 16)):
        out.append(data[end + 2 : end + 2 + size])
        at = end + 2 + size + 2
    return b"".join(out)


def ask(model, fallbacks=(), stream=False, images=()):
    """A request; images as base64."""
    parts = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}} for data in images]
    content = [{"type": "text", "text": "hello " * 150}, *parts]
    messages = [{"role": "user", "content": content}]
    return {"model": model, "stream": stream, "fallbacks": list(fallbacks), "messages": messages}


def image(count_bytes, seed):
    return base64.b64encode(PNG + random.Random(seed).randbytes(count_bytes)).decode()


async def at_rate(per_second, seconds, one):
    """Starts `one(number)` at random moments, so many a second, whatever becomes of the others; all results in order of their start."""
    dice, tasks, began, due = random.Random(1), [], time.monotonic(), 0.0
    while due < seconds:
        await asyncio.sleep(max(0.0, began + due - time.monotonic()))
        tasks.append(asyncio.create_task(one(len(tasks))))
        due += dice.expovariate(per_second)
    return await asyncio.gather(*tasks)


def quantile(values, q):
    return statistics.quantiles(values, n=1_000, method="inclusive")[round(q * 1_000) - 1]
