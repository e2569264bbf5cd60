"""A real Prometheus (Debian's package) scrapes the demo, and answers every question of src/telemetry/METRICS.md. Then the walk: from
one request's id its provider, verdicts and times are found by one query each in the metrics' examples, in the trace and in the log.

HELIOSTAT_BIN names the binary.
"""

import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

PATIENCE_S = 90
REFERENCE = pathlib.Path("src/telemetry/METRICS.md")
FAILS = {"model": "openai/fail-529", "fallbacks": ["anthropic/claude-sonnet-4-5"]}
ASKED = [FAILS, {**FAILS, "stream": True}, {"model": "openai/gpt-4o"}, {"model": "openai/fail-529"}, {"model": "nothing/here"}]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read()


def until(what, ready):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            found = ready()
        except OSError:
            found = None
        if found:
            return found
        time.sleep(0.5)
    sys.exit(f"not within {PATIENCE_S} s: {what}")


def ask(gateway, body, request_id=None):
    body = {"messages": [{"role": "user", "content": "Why was Tuesday slow?"}], **body}
    headers = {"content-type": "application/json", "x-team": "shoes", "x-pipeline-stage": "score"}
    headers |= {"x-request-id": request_id} if request_id else {}
    request = urllib.request.Request(f"http://{gateway}/v1/chat/completions", json.dumps(body).encode(), headers)
    try:
        urllib.request.urlopen(request, timeout=30).read()
    except urllib.error.HTTPError as refused:
        refused.read()


def asked_in(section):
    text = REFERENCE.read_text().split(f"\n## {section}\n")[1].split("\n## ")[0]
    asked = re.findall(r"^\| (.+?) \| `(.+)` \|$", text, re.M)
    assert asked, f"the reference asks nothing in {section}"
    return asked


def answer(prometheus, query):
    found = json.loads(get(f"http://{prometheus}/api/v1/query?{urllib.parse.urlencode({'query': query})}"))
    values = [series for series in found["data"]["result"] if series["value"][1] != "NaN"]
    return values


def examples(prometheus, query):
    """The labels of series and of their examples, together."""
    now = time.time()
    asked = urllib.parse.urlencode({"query": query, "start": now - 600, "end": now + 60})
    found = json.loads(get(f"http://{prometheus}/api/v1/query_exemplars?{asked}"))
    return [{**of["seriesLabels"], **one["labels"], "value": float(one["value"])} for of in found["data"] for one in of["exemplars"]]


def all_questions(gateway, prometheus):
    def while_asked(find, query):
        for body in ASKED:
            ask(gateway, body)
        return find(prometheus, query)

    for question, query in asked_in("Questions"):
        found = until(query, lambda: while_asked(answer, query))
        print(f"{question}\n  {query}\n  {found[0]['metric']} {found[0]['value'][1]} ({len(found)} series)")
    for question, query in asked_in("Examples"):
        found = until(query, lambda: while_asked(examples, query))
        print(f"{question}\n  {query}\n  {found[-1]} ({len(found)} examples)")


def walk(gateway, prometheus, traces, log):
    """From an id alone: who served, what failed before it, and how long each took."""
    request_id = f"walk-{time.time_ns()}"
    ask(gateway, FAILS, request_id)

    def of_the_request(query):
        return [example for example in examples(prometheus, query) if example.get("request_id") == request_id]

    attempts = until("the attempts' examples", lambda: of_the_request("heliostat_attempts_total"))
    verdicts = {(attempt["provider"], attempt["outcome"]) for attempt in attempts}
    assert verdicts == {("openai", "overloaded"), ("anthropic", "ok")}, attempts
    stages = until("the stages' examples", lambda: of_the_request("heliostat_upstream_stage_seconds_bucket"))
    took = {(stage["provider"], stage["stage"]): stage["value"] for stage in stages}
    assert {("openai", "header"), ("anthropic", "header"), ("anthropic", "body")} <= took.keys(), stages
    (trace_id,) = {example["trace_id"] for example in attempts}

    spans = until("the trace", lambda: get(f"http://{traces}/{request_id}").decode())
    assert trace_id in spans and "fail-529" in spans and "overloaded 529" in spans and "ok 200" in spans, spans

    line = until("the line", lambda: next((json.loads(line) for line in log.read_text().splitlines() if request_id in line), None))
    assert (line["trace_id"], line["provider"]) == (trace_id, "anthropic"), line
    assert [attempt["outcome"] for attempt in line["attempts"]] == ["overloaded", "ok"], line
    first = line["attempts"][0]
    logged = (first["header_us"] - first["connected_us"]) / 1e6
    assert abs(logged - took["openai", "header"]) < 1e-5, (first, took)
    print(f"walked from {request_id}: {sorted(verdicts)} in the examples, the trace {trace_id} and the log; header after {logged} s in both")


def main():
    gateway, admin, traces, prometheus = (f"127.0.0.1:{free_port()}" for _ in range(4))
    with tempfile.TemporaryDirectory() as folder:
        config, log = pathlib.Path(folder, "prometheus.yml"), pathlib.Path(folder, "demo.log")
        scrape = {"job_name": "heliostat", "scrape_interval": "1s", "static_configs": [{"targets": [admin]}]}
        config.write_text(json.dumps({"scrape_configs": [scrape]}))
        listen = ["--listen", gateway, "--admin-listen", admin, "--traces-listen", traces]
        demo = [os.environ["HELIOSTAT_BIN"], "demo", *listen]
        storage = [f"--storage.tsdb.path={folder}/data", "--enable-feature=exemplar-storage"]
        server = ["prometheus", f"--config.file={config}", *storage, f"--web.listen-address={prometheus}"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with log.open("w") as lines:
            running = [subprocess.Popen(demo, stdout=lines, stderr=subprocess.DEVNULL), subprocess.Popen(server, **quiet)]
        try:
            until("the demo", lambda: get(f"http://{admin}/healthz"))
            until("Prometheus", lambda: get(f"http://{prometheus}/-/ready"))
            check = subprocess.run(["promtool", "check", "metrics"], input=get(f"http://{admin}/metrics"), capture_output=True)
            print("promtool:", (check.stdout + check.stderr).decode().strip() or "nothing to say")
            # First: what fails rests for a while, and is not asked again meanwhile.
            walk(gateway, prometheus, traces, log)
            all_questions(gateway, prometheus)
        finally:
            for process in running:
                process.terminate()
                process.wait()


main()
