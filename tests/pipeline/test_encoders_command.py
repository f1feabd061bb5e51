import json
from functools import partial

from tests.pipeline.commands import eri

run = partial(eri, "encoders")


def test_encoders_are_listed_and_described():
    assert "videomae-base        CC-BY-NC-4.0     main       VideoMAE" in run().stdout
    described = run("wav2vec2-affect", "egemaps")
    assert "cite: Wagner et al. 2023" in described.stdout
    assert "logits: true" in described.stdout
    content = json.loads(run("egemaps", "--json").stdout)
    assert content["egemaps"]["entry"] == {"kind": "opensmile", "model": "eGeMAPSv02"}


def test_a_preset_is_tried_on_a_test_clip_and_an_unknown_name_refused():
    found = json.loads(run("--check", "egemaps", "--json").stdout)
    assert (found["rows"], found["numbers"]) == (1, 88)
    assert "did you mean 'egemaps'" in str(run("--check", "egemap", status=1).exception)
