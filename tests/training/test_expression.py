import io

import numpy as np
import pandas as pd
import torch
from PIL import Image
from safetensors.torch import load_file

from features.encoders.expression import build_network
from training.expression import ANSWERS, BATCH_SIZE, main, read_faces


def write_faces(path, n):
    """A table of `n` grey pictures that get brighter, half of them of Val."""
    table = pd.DataFrame(0, index=range(n), columns=list(ANSWERS))
    table["happiness"] = np.arange(n) % 9
    table["anger"] = 10 - table["happiness"]
    table["png"] = [picture(value) for value in np.arange(n) % 9 * 25]
    table["split"] = ["Train", "Val"] * (n // 2)
    table.loc[0, "not_a_face"] = 100
    table.to_parquet(path)


def picture(value):
    with io.BytesIO() as buffer:
        Image.new("L", (48, 48), int(value)).save(buffer, "PNG")
        return buffer.getvalue()


def test_pictures_that_voters_call_no_face_are_left_out(tmp_path):
    write_faces(tmp_path / "faces.parquet", 10)
    train, val = (read_faces(tmp_path / "faces.parquet", split) for split in ("Train", "Val"))
    assert train.pictures.shape == (4, 48, 48)
    assert val.pictures[:, 0, 0].tolist() == [25, 75, 125, 175, 0]
    torch.testing.assert_close(train.shares.sum(dim=1), torch.ones(4))


def test_what_is_trained_fits_the_encoder(tmp_path, capsys):
    write_faces(tmp_path / "faces.parquet", 2 * BATCH_SIZE + 2)
    main(tmp_path / "faces.parquet", out=tmp_path / "new.safetensors", n_epochs=1)
    assert "epoch 1 of 1" in capsys.readouterr().out
    state = load_file(tmp_path / "new.safetensors")
    assert all(torch.isfinite(value).all() for value in state.values())
    missing = build_network().load_state_dict(state, strict=False).missing_keys
    assert all(name.endswith("num_batches_tracked") for name in missing)
