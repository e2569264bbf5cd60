"""Claude Code asks, calls a tool and reads its result, at each of three providers through the demo.

CLAUDE_CLI and HELIOSTAT_BIN name the binaries.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request

MODELS = ["anthropic/claude-sonnet-4-5", "openai/gpt-5.1", "gemini/gemini-3-flash-preview"]
LISTENS = {"--listen": "127.0.0.1:8080", "--admin-listen": "127.0.0.1:8081", "--traces-listen": "127.0.0.1:8082"}
URL = f"http://{LISTENS['--listen']}"
QUIET = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1", "DISABLE_TELEMETRY": "1"}
# The simulators call a tool when they are told to.
PROMPTS = {"Say hello": "you said", "Please call the tool": "the tool said"}
PATIENCE_S = 60


def wait_until_ready():
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            return urllib.request.urlopen(f"{URL}/readyz", timeout=1).read()
        except OSError:
            time.sleep(0.1)
    sys.exit("the demo does not answer")


def ask(model, prompt, home):
    """What Claude Code prints as the result."""
    models = {name: model for name in ["ANTHROPIC_MODEL", "ANTHROPIC_DEFAULT_HAIKU_MODEL", "ANTHROPIC_DEFAULT_SONNET_MODEL"]}
    environment = {"PATH": os.environ["PATH"], "HOME": home, "ANTHROPIC_BASE_URL": f"{URL}/anthropic", "ANTHROPIC_API_KEY": "sk-demo"}
    run = subprocess.run(
        [os.environ["CLAUDE_CLI"], "-p", prompt, "--tools", "Read", "--output-format", "json"],
        cwd=home,
        env=environment | models | QUIET,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    if run.returncode != 0:
        sys.exit(f"{model}, {prompt!r}: {run.returncode}\n{run.stdout}\n{run.stderr}")
    return json.loads(run.stdout)


def main():
    with tempfile.TemporaryDirectory() as home:
        log = (pathlib.Path(home) / "demo.log").open("wb")
        listens = [word for pair in LISTENS.items() for word in pair]
        demo = subprocess.Popen([os.environ["HELIOSTAT_BIN"], "demo", *listens], stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_until_ready()
            for model in MODELS:
                for prompt, expected in PROMPTS.items():
                    said = ask(model, prompt, home)
                    if said["is_error"] or expected not in said["result"]:
                        sys.exit(f"{model}, {prompt!r}: {said}")
                    print(f"Claude Code, {model}: {prompt!r} answered in {said['num_turns']} turns")
        finally:
            demo.kill()
            demo.wait()


main()
