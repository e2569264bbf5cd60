"""A running `heliostat demo` for all tests, on free ports, and clients that speak to it."""

import contextlib
import itertools
import os
import pathlib
import socket
import subprocess
import time
import urllib.request

import openai
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("HELIOSTAT_BIN", str(ROOT / "target/debug/heliostat"))


PORTS = itertools.count(os.getpid() % 50 * 100)


def free_port():
    """A port below the range the kernel hands out, so that nobody takes it meanwhile."""
    while True:
        port = 15_000 + next(PORTS) % 5_000
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port


@contextlib.contextmanager
def demo(folder):
    """Runs a demo; its base URL, without `/v1`."""
    listen, admin = (f"127.0.0.1:{free_port()}" for _ in range(2))
    log = folder / "log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [BINARY, "demo", "--listen", listen, "--admin-listen", admin, "--traces-listen", "127.0.0.1:0"], stdout=sink, stderr=subprocess.STDOUT
        )
    try:
        wait_until_ready(process, f"http://{listen}/readyz", log)
        yield f"http://{listen}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def gateway(tmp_path_factory):
    """One demo for all tests that break nothing."""
    with demo(tmp_path_factory.mktemp("demo")) as url:
        yield url


def wait_until_ready(process, url, log):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.exit(f"the demo ended: {log.read_text()}", returncode=1)
        try:
            with urllib.request.urlopen(url, timeout=1) as reply:
                if reply.status == 200:
                    return
        except OSError:
            time.sleep(0.02)
    pytest.exit(f"the demo was not ready: {log.read_text()}", returncode=1)


@pytest.fixture
def client(gateway):
    """As an application has it: two retries of its own, twelve seconds."""
    with openai.OpenAI(base_url=f"{gateway}/v1", api_key="unused", timeout=12) as client:
        yield client


@pytest.fixture
def once(client):
    """A client that never retries, so that each answer of the gateway is seen."""
    return client.with_options(max_retries=0)
