"""A Ray cluster of several nodes on this machine, by Ray's own utility.

``ERI_TEST_KILLS=20`` kills twenty times; by default it is three: a driver, a slot, a node.
"""

import os
import random
import socket
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

from features.errors import ClusterError, EncoderError
from features.extraction.cluster import Cluster
from features.extraction.workers import Failure
from tests.features.stored import bytes_of
from tests.features.test_faults import N_CLIPS, Run, extract_all, write_corpus
from tests.features.work import Doubler, die_at_start
from tests.media import write_clip

pytest.importorskip("ray")

N_KILLS = int(os.environ.get("ERI_TEST_KILLS", "3"))
NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20}


@pytest.fixture(scope="module")
def cluster(request):
    """Two nodes of one processor each; `RAY_CLIENT` is where Ray's client finds them."""
    from ray.cluster_utils import Cluster as Nodes

    patch = pytest.MonkeyPatch()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    patch.setenv("RAY_CLIENT", f"ray://127.0.0.1:{port}")
    patch.setenv("RAY_CLIENT_SERVER_CHECK_CHANNEL_TIMEOUT_S", "300")  # 30 are few on a busy machine
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    patch.setenv("PYTHONPATH", str(request.config.rootpath))
    head = {**NODE, "include_dashboard": False, "ray_client_server_port": port}
    nodes = Nodes(initialize_head=True, head_node_args=head)
    nodes.add_node(**NODE)
    patch.setenv("RAY_ADDRESS", nodes.address)
    yield nodes
    nodes.shutdown()
    patch.undo()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = write_corpus(tmp_path_factory.mktemp("cluster"))
    (folder / "media/broken.mp4").write_bytes(b"broken")
    write_clip(folder / "media/silent.mp4", sound_s=0)
    return folder


@pytest.fixture
def aborting_clients(monkeypatch):
    """Let so many connections of Ray's client fail as where a busy head's server for them dies."""
    from ray.util.client.worker import Worker

    def abort(n_times: int) -> None:
        left, connect = iter(range(n_times)), Worker.__init__

        def abort_or_connect(worker, *arguments, **options):
            if next(left, None) is not None:
                raise ConnectionAbortedError("the server has died")
            connect(worker, *arguments, **options)

        monkeypatch.setattr(Worker, "__init__", abort_or_connect)

    return abort


def test_stores_and_failures_are_those_of_a_local_run(cluster, folder, aborting_clients):
    local = extract_all(folder, "local", "cache-local")
    report = extract_all(folder, "ray", "cache-ray", on="ray")
    assert report.n_computed == local.n_computed == {"frames": N_CLIPS + 1, "sound": N_CLIPS}
    assert bytes_of(folder / "ray") == bytes_of(folder / "local")
    aborting_clients(1)
    extract_all(folder, "client", "cache-client", on=os.environ["RAY_CLIENT"])
    assert bytes_of(folder / "client") == bytes_of(folder / "local")
    assert extract_all(folder, "again", "cache-ray", on="ray").n_computed["frames"] == 0
    failures = pd.read_parquet(folder / "ray" / "sound.failures.parquet")
    assert dict(zip(failures["clip_id"], failures["step"], strict=True)) == {
        "broken": "probe",
        "silent": "stream",
    }


def test_what_kills_a_process_is_found_and_costs_nothing_else(cluster):
    with Cluster("ray") as here:
        results = list(here.run(Doubler, [*range(10), 13, *range(20, 24)], 15, 8))
        (died,) = [result for items, result in results if items == [13]]
        assert isinstance(died, Failure)
        done = [twice for items, result in results if items != [13] for twice in result]
        assert sorted(done) == [2 * n for n in [*range(10), *range(20, 24)]]
        with pytest.raises(EncoderError, match="of 14 nothing can be made"):
            list(here.run(Doubler, [14], 1))
        with pytest.raises(ClusterError, match="no machine of the cluster can do the work: .+"):
            list(here.run(die_at_start, [1], 1))


def test_after_a_client_that_never_connects_others_do(cluster, aborting_clients):
    aborting_clients(3)
    never = Cluster(os.environ["RAY_CLIENT"])
    with pytest.raises(ClusterError, match="no Ray cluster answers .+: the server has died"):
        next(never.run(Doubler, [3], 1))
    with Cluster("ray") as here:
        assert sorted(twice for _, (twice,) in here.run(Doubler, [3, 4], 2)) == [6, 8]


def test_what_is_needed_is_said(monkeypatch):
    with Cluster("ray") as idle:  # nothing to do, nothing to reach
        idle.embed([], {}, progress=False)
    with pytest.raises(ClusterError, match=r"'slurm': expected `ray` or `ray://host:port`"):
        Cluster("slurm")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterError, match=r"install Ray: pip install 'eri\[ray\]'"):
        Cluster("ray")


def kill(kind: str, driver: Run, cluster) -> None:
    if kind == "driver":
        driver.kill()
    elif kind == "node":
        worker = next(iter(cluster.worker_nodes), None)
        if worker is not None:
            cluster.remove_node(worker, allow_graceful=False)
        cluster.add_node(**NODE)
    else:
        slots = [p for p in psutil.Process().children(recursive=True) if "_Slot" in p.name()]
        for slot in slots[:1]:
            slot.kill()


@pytest.mark.timeout(300 + 60 * N_KILLS)
def test_kills_at_random_moments_lose_nothing(cluster, folder):
    extract_all(folder, "undisturbed", "cache-undisturbed")
    moments = random.Random(0)
    for number, kind in zip(range(N_KILLS), ["driver", "slot", "node"] * N_KILLS, strict=False):
        order = out, cache, _ = f"killed{number}", f"cache{number}", "ray"
        run = Run(folder, *order)
        time.sleep(moments.uniform(1, 5))
        kill(kind, run, cluster)
        if run.result() is None:
            assert kind == "driver"
            n_kept = len(list(folder.glob(f"{cache}/*/*/*.safetensors")))
            ended = Run(folder, *order).result()
            assert sum(ended.values()) == 2 * N_CLIPS + 1 - n_kept
        assert bytes_of(folder / out) == bytes_of(folder / "undisturbed")
