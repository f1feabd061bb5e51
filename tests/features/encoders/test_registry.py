import subprocess
import sys

import pytest
from pydantic import ValidationError

from features.encoders import ENCODERS, EncoderError, make_encoder


def test_an_unknown_kind_names_the_nearest():
    with pytest.raises(EncoderError, match="'openclip'.*Did you mean 'open_clip'"):
        make_encoder({"kind": "openclip", "model": "ViT-B-32"})


@pytest.mark.parametrize("kind", ENCODERS)
def test_an_unknown_key_is_refused(kind):
    spec = {"kind": kind, "model": "m", "weights": "random", "colour": "red"}
    with pytest.raises(ValidationError, match="colour"):
        make_encoder(spec)


def test_the_registry_imports_no_heavy_library():
    heavy = "{'torch', 'open_clip', 'torchvision', 'opensmile'}"
    code = f"import sys, features.encoders, features.reading; print({heavy} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"
