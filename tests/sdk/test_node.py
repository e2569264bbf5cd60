"""The SDKs for Node, in `node/`, with Node's own test runner."""

import os
import pathlib
import subprocess
import sys

import pytest

FOLDER = pathlib.Path(__file__).parent / "node"
BIN = pathlib.Path(sys.executable).parent


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.test.js")))
def test_node(gateway, name):
    environment = os.environ | {"HELIOSTAT_URL": gateway, "AI_SDK_LOG_WARNINGS": "false"}
    run = subprocess.run([BIN / "node", "--test", name], cwd=FOLDER, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
