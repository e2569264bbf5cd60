"""A failover as a real OpenTelemetry collector understands it: over HTTP and over gRPC, span by span.

The collector (`main.go`, versions pinned in `go.mod` and `go.sum`) passes on what it took as OTLP in JSON, to this script.
"""

import asyncio
import json
import os
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
import rig

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SERVER, CLIENT = 2, 3


class Sink:
    """Takes OTLP in JSON; spans by request."""

    def __init__(self):
        self.spans, self.came = [], asyncio.Event()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.take, "127.0.0.1", 0, limit=1 << 22)
        self.url = "http://127.0.0.1:%d" % self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()

    async def take(self, reader, writer):
        while head := await rig.read_head(reader):
            batch = json.loads(await reader.readexactly(int(head["content-length"])))
            self.spans += [s for r in batch["resourceSpans"] for scope in r["scopeSpans"] for s in scope["spans"]]
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
            self.came.set()

    async def of(self, request_id):
        async with asyncio.timeout(30):
            while True:
                spans = [s for s in self.spans if said(s).get("heliostat.request_id") == request_id]
                if spans:
                    return spans
                self.came.clear()
                await self.came.wait()


def said(span):
    """Attributes by name; whole numbers are text in OTLP's JSON."""
    return {a["key"]: next(iter(a["value"].values())) for a in span["attributes"]}


async def collector(folder, sink):
    http, grpc = rig.free_address(), rig.free_address()
    config = {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": http}, "grpc": {"endpoint": grpc}}}},
        "exporters": {"otlphttp": {"endpoint": sink.url, "encoding": "json", "compression": "none"}},
        "service": {
            "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["otlphttp"]}},
            "telemetry": {"metrics": {"level": "none"}},
        },
    }
    path = folder / "collector.json"
    path.write_text(json.dumps(config))
    log = open(folder / "collector.log", "wb")
    process = await asyncio.create_subprocess_exec(os.environ["COLLECTOR_BIN"], "--config", f"file:{path}", stdout=log, stderr=log)
    for address in (http, grpc):
        host, port = address.split(":")
        for _ in range(400):
            try:
                (await asyncio.open_connection(host, int(port)))[1].close()
                break
            except OSError:
                await asyncio.sleep(0.05)
        else:
            sys.exit("the collector did not listen:\n" + (folder / "collector.log").read_text())
    return process, http, grpc


async def failover(protocol, endpoint, sink):
    """Sends one request whose first provider is overloaded, and checks its spans one by one."""

    async def overloaded(request):
        await request.status(529)

    async def answers(request):
        await request.reply("from the second")

    async with rig.Provider(overloaded) as first, rig.Provider(answers) as second:
        yaml = f"""
providers:
  first: {{ base_url: '{first.url}', dialect: openai, keys: [{{ value: env.KEY_A }}] }}
  second: {{ base_url: '{second.url}', dialect: openai, keys: [{{ value: env.KEY_B }}] }}
observability:
  prometheus_labels: [x-team]
  otel_endpoint: http://{endpoint}
  otel_protocol: {protocol}
  otel_compression: gzip
  otel_batch_ms: 100
"""
        async with rig.Gateway(yaml) as gateway:
            headers = [f"traceparent: 00-{TRACE}-{CALLER}-01", "x-team: shoes"]
            answer = await rig.chat(gateway, rig.ask("first/m", fallbacks=["second/m"]), headers)
            assert answer.good(), answer.body
            check(await sink.of(answer.headers["x-request-id"]))
    print(f"{protocol}: a real collector has the failover, span by span")


def check(spans):
    assert len(spans) == 3, spans
    assert {s["traceId"] for s in spans} == {TRACE}, spans
    [request] = [s for s in spans if s["kind"] == SERVER]
    failed, served = sorted((s for s in spans if s["kind"] == CLIENT), key=lambda s: int(said(s)["heliostat.attempt"]))
    assert request["parentSpanId"] == CALLER and {failed["parentSpanId"], served["parentSpanId"]} == {request["spanId"]}, spans
    times = [int(s[t]) for s, t in ((request, "startTimeUnixNano"), (failed, "startTimeUnixNano"), (failed, "endTimeUnixNano"))]
    times += [int(s[t]) for s, t in ((served, "startTimeUnixNano"), (served, "endTimeUnixNano"), (request, "endTimeUnixNano"))]
    assert times == sorted(times), times
    wanted = [
        (request, {"heliostat.provider": "second", "heliostat.verdict": "ok", "heliostat.attempts": "2", "gen_ai.usage.input_tokens": "3"}),
        (failed, {"heliostat.provider": "first", "heliostat.verdict": "overloaded", "http.response.status_code": "529"}),
        (served, {"heliostat.provider": "second", "heliostat.credential": "KEY_B", "gen_ai.operation.name": "chat"}),
    ]
    for span, attributes in wanted:
        found = said(span)
        assert found["x-team"] == "shoes" and found.items() >= attributes.items(), (attributes, found)
    assert "code" not in request.get("status", {}) and failed["status"]["code"] == 2, spans


async def main():
    with tempfile.TemporaryDirectory() as folder:
        async with Sink() as sink:
            process, http, grpc = await collector(pathlib.Path(folder), sink)
            try:
                await failover("http/protobuf", http, sink)
                await failover("grpc", grpc, sink)
            finally:
                process.kill()
                await process.wait()


asyncio.run(main())
