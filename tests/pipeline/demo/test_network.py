import numpy as np
import pytest

from features.encoders import make_encoder
from pipeline.demo.network import CHANNELS, OUTPUTS, SIZE_PX, write_expression_network
from tests.features.encoders.samples import embed, pictures


def encoder(path, outputs):
    geometry = {"size_px": [SIZE_PX] * 2, "mode": "squash", "mean": [0.5] * 3}
    return make_encoder(
        {"kind": "onnx", "weights": str(path), "preprocessing": geometry, "outputs": outputs}
    )


def test_equal_seeds_give_equal_bytes_and_others_do_not(tmp_path):
    contents = []
    for number, seed in enumerate((0, 0, 1)):
        path = tmp_path / "new" / f"{number}.onnx"
        write_expression_network(path, seed)
        contents.append(path.read_bytes())
    assert contents[0] == contents[1] != contents[2]
    assert len(list((tmp_path / "new").iterdir())) == 3


def test_it_has_the_outputs_of_a_network_of_expressions(tmp_path):
    path = tmp_path / "network.onnx"
    write_expression_network(path, 0)
    names = ["embedding", *OUTPUTS]
    widths = encoder(path, names).columns()
    assert widths == {"embedding": CHANNELS[-1]} | {name: w for name, (w, _) in OUTPUTS.items()}
    assert set(OUTPUTS) == {"expression", "valence_arousal", "action_units"}
    rows = {name: embed(encoder(path, [name]), pictures(3, (SIZE_PX, SIZE_PX))) for name in names}
    assert rows["expression"].sum(axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert (np.abs(rows["valence_arousal"]) <= 1).all()
    assert ((rows["action_units"] >= 0) & (rows["action_units"] <= 1)).all()
    for each in rows.values():  # what is seen changes what comes out
        assert each.std(axis=0).max() > 0
