"""Memory of a run over one long clip, parent and workers together, above that of the model.

``python -m benchmarks.long_clip [--fast]``

The clip is 512 x 512 pixels with sound, 60 minutes long (`--fast`: 5). Its memory is compared with
that of the same run over ten seconds.
"""

import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import av
import numpy as np
import psutil
import typer

from benchmarks.common import ROOT, describe, timed, tree_mib

CODE = """
import sys
from pathlib import Path
from features.extraction import embed_files
clip, cache = sys.argv[1:]
network = {"kind": "torchvision", "model": "shufflenet_v2_x0_5", "weights": "random"}
voice = {"kind": "opensmile", "model": "eGeMAPSv02", "window_s": 2, "hop_s": 1}
for spec in (network, voice):
    store, failures = embed_files([clip], spec, cache_root=Path(cache), progress=False)
    print(spec["model"], store.embedding.shape, failures.to_dict("records"))
"""


def main(
    fast: Annotated[bool, typer.Option(help="Five minutes instead of sixty.")] = False,
) -> None:
    """Print peak memory and time for the short and the long clip."""
    print(describe())
    print("\n| clip | s | peak memory MiB | above the short clip MiB |")
    print("|---" * 4 + "|")
    short_mib = 0.0
    for duration_s in (10, 300 if fast else 3600):
        with tempfile.TemporaryDirectory() as name:
            clip = make_clip(Path(name) / "clip.mp4", duration_s)
            seconds, peak_mib = timed(peak_of_run, clip, Path(name) / "cache")
        short_mib = short_mib or peak_mib
        print(
            f"| {duration_s} s | {seconds:.1f} | {peak_mib:.0f} | {peak_mib - short_mib:.0f} |",
            flush=True,
        )


def make_clip(path: Path, duration_s: int, side_px: int = 512, rate_hz: int = 25) -> Path:
    """Write a clip of slowly moving stripes with noise for sound."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 6 * np.pi, side_px)
    with av.open(path, "w") as container:
        video = container.add_stream("libx264", rate=rate_hz, options={"preset": "ultrafast"})
        video.width = video.height = side_px
        video.pix_fmt = "yuv420p"
        audio = container.add_stream("aac", rate=16000)
        audio.layout = "mono"
        for second in range(duration_s):
            for index in range(rate_hz):
                stripes = 127 + 100 * np.sin(ramp + second + index / rate_hz)
                grey = np.broadcast_to(stripes.astype(np.uint8), (side_px, side_px))
                picture = np.ascontiguousarray(np.repeat(grey[..., None], 3, axis=2))
                container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            noise = rng.uniform(-0.1, 0.1, (1, 16000)).astype(np.float32)
            sound = av.AudioFrame.from_ndarray(noise, format="fltp", layout="mono")
            sound.sample_rate = 16000
            container.mux(audio.encode(sound))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path


def peak_of_run(clip: Path, cache: Path) -> float:
    """Run the code in a process of its own; return the peak memory of its tree in MiB."""
    command = [sys.executable, "-c", CODE, str(clip), str(cache)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process, peak_mib = psutil.Popen(command, stdout=sys.stderr, env=environment), 0.0
    while process.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):  # a worker that has just ended
            peak_mib = max(peak_mib, tree_mib(process))
        time.sleep(0.1)
    assert process.returncode == 0
    return peak_mib


if __name__ == "__main__":
    typer.run(main)
