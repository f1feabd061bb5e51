import json
import os
import signal
import subprocess
import sys
import tempfile

import httpx
import open_clip
import pytest

from tests.conftest import TINY_CLIP
from tests.pipeline.serve.conftest import until

CODE = """
import sys
import open_clip
open_clip.add_model_config(sys.argv.pop(1))
from pipeline.cli import main
main()
"""


@pytest.fixture
def serve(shared_run, tmp_path):
    """Start `eri serve` in a process that knows the tests' small CLIP."""
    model = tmp_path / f"{TINY_CLIP}.json"
    model.write_text(json.dumps(open_clip.get_model_config(TINY_CLIP)))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    command = [sys.executable, "-c", CODE, str(model), "serve", "--bundle", str(shared_run.bundle)]
    running = []

    def start(*options: str):
        log = tempfile.TemporaryFile("w+")  # noqa: SIM115  # as long as the process
        process = subprocess.Popen(
            [*command, "--port", "0", *options],
            stderr=log,
            env=os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": os.getcwd()},  # noqa: PTH109
        )
        running.append(process)

        def said() -> str:
            log.seek(0)
            return log.read()

        until(lambda: "running on" in said() or process.poll() is not None)
        return process, said

    yield start, temporary
    for process in running:
        process.kill()
        process.wait()


def test_it_answers_until_it_is_told_to_stop_and_leaves_nothing(serve, clip):
    start, temporary = serve
    process, said = start("--max-duration-s", "7", "--host", "0.0.0.0", "--names", "eri.example")
    assert "warning: 0.0.0.0 is not this machine alone" in said()
    port = said().rsplit("running on http://0.0.0.0:", 1)[1].split()[0]
    url = f"http://127.0.0.1:{port}"
    health = httpx.get(f"{url}/health", headers={"Host": "eri.example"}).json()
    assert health["limits"]["duration_s"] == 7
    assert health["limits"]["receive_s"] == 60
    reply = httpx.post(f"{url}/predict", files={"file": ("a.mp4", clip)}, timeout=300)
    assert reply.status_code == 200
    assert len(list(temporary.iterdir())) == 1
    process.send_signal(signal.SIGTERM)
    process.wait(120)
    assert list(temporary.iterdir()) == []
    assert "Traceback" not in said()
