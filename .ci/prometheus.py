"""A real Prometheus (Debian's package) scrapes the demo, and answers every question of src/telemetry/METRICS.md.

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


def ask(gateway, body):
    body = {"messages": [{"role": "user", "content": "Why was Tuesday slow?"}], **body}
    headers = {"content-type": "application/json", "x-team": "shoes", "x-pipeline-stage": "score"}
    request = urllib.request.Request(f"http://{gateway}/v1/chat/completions", json.dumps(body).encode(), headers)
    try:
        urllib.request.urlopen(request, timeout=30).read()
    except urllib.error.HTTPError as refused:
        refused.read()


def questions():
    section = REFERENCE.read_text().split("## Questions")[1].split("\n## ")[0]
    return re.findall(r"^\| (.+?) \| `(.+)` \|$", section, re.M)


def answer(prometheus, query):
    found = json.loads(get(f"http://{prometheus}/api/v1/query?{urllib.parse.urlencode({'query': query})}"))
    values = [series for series in found["data"]["result"] if series["value"][1] != "NaN"]
    return values


def main():
    gateway, admin, prometheus = (f"127.0.0.1:{free_port()}" for _ in range(3))
    with tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder, "prometheus.yml")
        scrape = {"job_name": "heliostat", "scrape_interval": "1s", "static_configs": [{"targets": [admin]}]}
        config.write_text(json.dumps({"scrape_configs": [scrape]}))
        demo = [os.environ["HELIOSTAT_BIN"], "demo", "--listen", gateway, "--admin-listen", admin]
        server = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/data", f"--web.listen-address={prometheus}"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        running = [subprocess.Popen(demo, **quiet), subprocess.Popen(server, **quiet)]
        try:
            until("the demo", lambda: get(f"http://{admin}/healthz"))
            until("Prometheus", lambda: get(f"http://{prometheus}/-/ready"))
            check = subprocess.run(["promtool", "check", "metrics"], input=get(f"http://{admin}/metrics"), capture_output=True)
            print("promtool:", (check.stdout + check.stderr).decode().strip() or "nothing to say")

            def scraped_while_asked(query):
                for body in ASKED:
                    ask(gateway, body)
                return answer(prometheus, query)

            asked = questions()
            assert asked, "the reference asks nothing"
            for question, query in asked:
                found = until(query, lambda: scraped_while_asked(query))
                print(f"{question}\n  {query}\n  {found[0]['metric']} {found[0]['value'][1]} ({len(found)} series)")
        finally:
            for process in running:
                process.terminate()
                process.wait()


main()
