"""A soak of failover and streams against the demo: 2,000 requests with mixed faults, every outcome counted.

Nothing but the standard library. Ends with an error when a request that had a good fallback was not answered, when a stream
that broke looked complete, or when memory grew without reason.
"""

import argparse
import base64
import collections
import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import random
import socket
import statistics
import subprocess
import sys
import time

GOOD = ["openai/gpt-4o", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-flash"]
BEFORE_CONTENT = ["fail-529", "fail-500", "fail-503", "fail-429", "reset", "error-200", "error-first"]
IN_THE_MIDDLE = ["truncate", "error-mid", "reset-mid-stream"]
GROWTH_BYTES = 64 << 20


def free_address():
    """Below the range the kernel hands out, so that nobody takes it meanwhile."""
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            address = ("127.0.0.1", random.randrange(10_000, 15_000))
            probe.bind(address)
            return f"{address[0]}:{address[1]}"


class Demo:
    """A running demo."""

    def __init__(self):
        self.address = free_address()
        command = [os.environ["HELIOSTAT_BIN"], "demo", "--listen", self.address, "--admin-listen", free_address()]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                if self.request("GET", "/readyz")[0] == 200:
                    return
            except OSError:
                time.sleep(0.02)
        sys.exit("the demo was not ready")

    def request(self, method, path, body=None):
        connection = http.client.HTTPConnection(self.address, timeout=60)
        try:
            connection.request(method, path, body, {"content-type": "application/json"})
            reply = connection.getresponse()
            headers = {name.lower(): value for name, value in reply.getheaders()}
            return reply.status, headers, reply.read()
        finally:
            connection.close()

    def chat(self, **body):
        body.setdefault("messages", [{"role": "user", "content": "Hello"}])
        return self.request("POST", "/v1/chat/completions", json.dumps(body))

    def resident_bytes(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def one(demo, number):
    """One request; returns what kind it was, whether it came out as it must, its time, and its number of attempts."""
    dice = random.Random(number)
    stream = dice.random() < 0.5
    provider = dice.choice(["openai", "anthropic", "gemini"])
    kind = dice.choice(["good", "before", "before", "middle" if stream else "good"])
    fault = {"good": None, "before": dice.choice(BEFORE_CONTENT), "middle": dice.choice(IN_THE_MIDDLE)}[kind]
    model = f"{provider}/{fault}" if fault else dice.choice(GOOD)
    body = {"model": model, "stream": stream}
    if kind == "before":
        body["fallbacks"] = [m for m in GOOD if not m.startswith(provider)]
    if kind == "middle":
        body["fallbacks"] = []
    if dice.random() < 0.1:
        image = base64.b64encode(b"\x89PNG\r\n\x1a\n" + dice.randbytes(500_000)).decode()
        part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}}
        body["messages"] = [{"role": "user", "content": [{"type": "text", "text": "Hello"}, part]}]
    began = time.monotonic()
    status, headers, answer = demo.chat(**body)
    took = time.monotonic() - began
    attempts = headers.get("x-heliostat-attempts", "").count(";") // 2
    return kind, stream, fault, came_out(kind, stream, status, answer), took, attempts, status


def came_out(kind, stream, status, answer):
    done = answer.rstrip().endswith(b"data: [DONE]")
    if kind == "middle":
        return not done and b"error" in answer
    return status == 200 and (done if stream else b"Hello" in answer)


def soak(demo, count, at_once):
    outcomes, times, tries, wrong = collections.Counter(), [], collections.Counter(), []
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        for kind, stream, fault, fine, took, attempts, status in pool.map(lambda n: one(demo, n), range(count)):
            outcomes[kind, "stream" if stream else "plain", "as it must" if fine else "WRONG"] += 1
            tries[attempts] += 1
            times.append(took * 1000)
            if not fine:
                wrong.append((kind, stream, fault, status))
    for outcome, number in sorted(outcomes.items()):
        print(f"{number:6} {' · '.join(outcome)}")
    print(f"attempts a request: {dict(sorted(tries.items()))}")
    cuts = statistics.quantiles(times, n=100)
    print(f"milliseconds: median {cuts[49]:.1f}, p95 {cuts[94]:.1f}, p99 {cuts[98]:.1f}")
    for case, number in collections.Counter(wrong).most_common(20):
        print(f"WRONG {number} x {case}")
    return not wrong


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--requests", type=int, default=2_000)
    options.add_argument("--at-once", type=int, default=16)
    options = options.parse_args()
    demo = Demo()
    try:
        fine = soak(demo, options.requests // 4, options.at_once)
        before = demo.resident_bytes()
        fine &= soak(demo, options.requests, options.at_once)
        after = demo.resident_bytes()
    finally:
        demo.process.kill()
        demo.process.wait()
    print(f"resident memory: {before >> 20} MiB after warming up, {after >> 20} MiB at the end")
    if after - before > GROWTH_BYTES:
        fine = False
        print(f"WRONG: memory grew by more than {GROWTH_BYTES >> 20} MiB")
    sys.exit(0 if fine else 1)


main()
