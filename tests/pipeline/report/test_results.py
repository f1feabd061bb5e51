import json

from pipeline.report.results import run_record


def test_what_a_run_is_made_of_fits_into_json(params):
    outputs = [[f"f{n}", 1] for n in range(5)]
    stores = {
        "clip": {"identity": "ab", "weights_digest": "cd", "versions": {"torch": "1", "av": "2"}},
        "egemaps": {"identity": "ef", "versions": {"torch": "3"}, "outputs": outputs},
    }
    record = json.loads(json.dumps(run_record(params, stores, {"data/clips.parquet": "gh"})))
    clip = {"model": "ViT-B-32", "weights": "random", "weights_digest": "cd", "identity": "ab"}
    assert record["encoders"]["clip"] == {"kind": "open_clip", "outputs": "n/a", **clip}
    egemaps = record["encoders"]["egemaps"]
    assert (egemaps["outputs"], egemaps["weights_digest"]) == ("5: f0, f1, f2, f3 …", "n/a")
    assert record["versions"]["av"] == "2"
    assert {"1", "3"} <= set(record["versions"]["torch"].split(", "))  # both, and that of here
    assert record["files"] == {"data/clips.parquet": "gh"}
