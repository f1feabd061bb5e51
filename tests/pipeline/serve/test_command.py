import signal

import httpx

from benchmarks.service import serving
from tests.pipeline.finished_run import TARGETS


def test_it_answers_until_it_is_told_to_stop_and_leaves_nothing(ready_folder, clip, tmp_path):
    temporary, log = tmp_path / "temporary", tmp_path / "log.txt"
    temporary.mkdir()
    options = ["--max-duration-s", "7", "--host", "0.0.0.0", "--names", "eri.example"]
    options += ["--port", "0", "--bundle", str(ready_folder / "voice")]
    with serving(options, log, {"TMPDIR": str(temporary)}) as (process, address):
        assert "warning: 0.0.0.0 is not this machine alone" in log.read_text()
        url = address.replace("0.0.0.0", "127.0.0.1")
        health = httpx.get(f"{url}/health", headers={"Host": "eri.example"}).json()
        assert (health["status"], health["targets"], health["n_uploads"]) == ("ok", TARGETS, 0)
        assert (health["limits"]["duration_s"], health["limits"]["receive_s"]) == (7, 60)
        reply = httpx.post(f"{url}/predict", files={"file": ("a.mp4", clip)}, timeout=300)
        assert reply.status_code == 200
        assert len(list(temporary.iterdir())) == 1
        process.send_signal(signal.SIGTERM)
        process.wait(120)
        assert list(temporary.iterdir()) == []
        assert "Traceback" not in log.read_text()
