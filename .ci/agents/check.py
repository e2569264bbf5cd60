"""Coding agents ask, call a tool and read its result, at each of three providers through the demo.

AGENTS names the folder they are installed in, HELIOSTAT_BIN the gateway.
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
# The simulators call a tool when they are told to, and say what it said.
PROMPTS = {"Say hello": "you said", "Please call the tool": "the tool said"}
PATIENCE_S = 60
CODEX = """
model_provider = "heliostat"
[model_providers.heliostat]
name = "Heliostat"
base_url = "%s/v1"
env_key = "HELIOSTAT_KEY"
wire_api = "responses"
"""


def claude_code(model, prompt, home):
    cli = next(path for path in packages("@anthropic-ai/claude-code-*/claude") if runs(path))
    models = {name: model for name in ["ANTHROPIC_MODEL", "ANTHROPIC_DEFAULT_HAIKU_MODEL", "ANTHROPIC_DEFAULT_SONNET_MODEL"]}
    quiet = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1", "DISABLE_TELEMETRY": "1"}
    there = {"ANTHROPIC_BASE_URL": URL, "ANTHROPIC_API_KEY": "unused"}
    return [cli, "-p", prompt, "--tools", "Read"], models | quiet | there


def codex(model, prompt, home):
    (home / ".codex").mkdir(exist_ok=True)
    (home / ".codex/config.toml").write_text(CODEX % URL)
    flags = ["--skip-git-repo-check", "--sandbox", "read-only", "--model", model]
    return [packages(".bin/codex")[0], "exec", *flags, prompt], {"HELIOSTAT_KEY": "unused"}


def gemini_cli(model, prompt, home):
    (home / ".gemini").mkdir(exist_ok=True)
    settings = {"security": {"auth": {"selectedType": "gemini-api-key"}}, "privacy": {"usageStatisticsEnabled": False}}
    (home / ".gemini/settings.json").write_text(json.dumps(settings))
    there = {"GOOGLE_GEMINI_BASE_URL": URL, "GEMINI_API_KEY": "unused", "GEMINI_CLI_TRUST_WORKSPACE": "true"}
    return [packages(".bin/gemini")[0], "--model", model, "--prompt", prompt, "--output-format", "text"], there


DIALECTS = {claude_code: "Messages", codex: "Responses", gemini_cli: "Google's"}


def packages(pattern):
    return sorted((pathlib.Path(os.environ["AGENTS"]) / "node_modules").glob(pattern))


def runs(path):
    """Whether it is built for this machine: npm may install two builds for Linux."""
    return subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0


def ask(agent, model, prompt, home):
    command, environment = agent(model, prompt, home)
    environment |= {"PATH": os.environ["PATH"], "HOME": str(home)}
    run = subprocess.run(
        command, cwd=home, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    if run.returncode != 0 or PROMPTS[prompt] not in run.stdout:
        sys.exit(f"{agent.__name__}, {model}, {prompt!r}: {run.returncode}\n{run.stdout}\n{run.stderr}")
    print(f"{agent.__name__} ({DIALECTS[agent]}), {model}: {prompt!r} answered")


def wait_until_ready():
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            return urllib.request.urlopen(f"{URL}/readyz", timeout=1).read()
        except OSError:
            time.sleep(0.1)
    sys.exit("the demo does not answer")


def main():
    with tempfile.TemporaryDirectory() as folder:
        home = pathlib.Path(folder)
        listens = [word for pair in LISTENS.items() for word in pair]
        with (home / "demo.log").open("wb") as log:
            demo = subprocess.Popen([os.environ["HELIOSTAT_BIN"], "demo", *listens], stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_until_ready()
            for agent in DIALECTS:
                for model in MODELS:
                    for prompt in PROMPTS:
                        ask(agent, model, prompt, home)
        finally:
            demo.kill()
            demo.wait()


main()
