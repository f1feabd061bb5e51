"""Files of weights as training runs leave them, for every kind that runs on torch."""

import argparse
import collections
import os
import re
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision

from features.encoders import EncoderError, make_encoder
from features.encoders.torch_encoder import TIMM_NAMES
from features.encoders.torch_model import TorchModel
from tests.features.encoders.samples import (
    CPU,
    close_to,
    embed,
    normalised,
    pictures,
    save,
    trained,
)


def tiny(weights):
    return make_encoder({"kind": "timm", "model": "test_resnet", "weights": str(weights)})


def tiny_network():
    return timm.create_model("test_resnet")


class Settings(dict):
    """Stands for the classes of others that training runs put beside the numbers."""


def with_prefix(state, prefix):
    return {prefix + name: value for name, value in state.items()}


def without_head(state):
    return {k: v for k, v in state.items() if not re.match(r"(fc|text_projection)\b", k)}


def with_head(state, *names):
    return without_head(state) | {name: torch.ones(7, 9) for name in names}


def lightning(state):
    return {
        "state_dict": with_prefix(with_head(state), "model.backbone.")
        | {"head.weight": torch.ones(7, 9), "loss.weight": torch.ones(7)},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(3)}}}],
        "hyper_parameters": Settings(lr=0.1, args=argparse.Namespace(seed=np.float64(3))),
        "callbacks": collections.defaultdict(list),
    }


def zeros(state):
    return {name: torch.zeros_like(value) for name, value in state.items()}


def wider(state):
    return {
        name: torch.cat([value, value]) if value.ndim else value for name, value in state.items()
    }


FORMS = {
    "plain": lambda s: s,
    "seven classes": lambda s: with_head(s, "fc.weight"),
    "no head": without_head,
    "a longer head": lambda s: with_head(s, "fc.0.weight", "fc.3.weight"),
    "other names of heads": lambda s: with_head(s, "classifier.1.weight", "head.weight", "age.0.w"),
    **{
        prefix: lambda s, prefix=prefix: with_prefix(s, prefix)
        for prefix in ("module.", "backbone.", "model.", "encoder.", "net.", "_orig_mod.")
    },
    "several prefixes": lambda s: with_prefix(s, "_orig_mod.module.model.backbone."),
    **{
        key: lambda s, key=key: {"epoch": 3, key: s, "optimizer": {"state": {0: torch.ones(2)}}}
        for key in ("state_dict", "model", "model_state_dict", "net", "ema", "weights")
    },
    "nested twice": lambda s: {"checkpoint": {"model": with_prefix(s, "module.")}},
    "lightning": lightning,
    "moving average": lambda s: {"model": zeros(s), "model_ema": s, "epoch": 3},
    "moving average in capitals": lambda s: {"model": zeros(s), "EMA": with_prefix(s, "module.")},
    "in a list": lambda s: [3, with_prefix(s, "module."), {"state": {0: torch.ones(2)}}],
    "moments by name": lambda s: {"model": s, "optimizer": {"exp_avg": zeros(s)}},
    "beside a wider teacher": lambda s: {"student": s, "teacher": wider(s)},
    "the same twice": lambda s: with_prefix(s, "model.") | with_prefix(s, "model.backbone."),
    "half": lambda s: {k: v.half() if v.is_floating_point() else v for k, v in s.items()},
    "no counters": lambda s: {k: v for k, v in s.items() if "num_batches" not in k},
    "profiled": lambda s: s | {"total_ops": torch.zeros(1), "n_averaged": torch.tensor(3)},
}


@pytest.mark.filterwarnings("ignore:.*left out|.*took")
@pytest.mark.parametrize(
    ("kind", "form"),
    [
        *(("timm", form) for form in FORMS),
        *((kind, form) for kind in ("open_clip", "torchvision") for form in ("plain", "lightning")),
    ],
    indirect=["kind"],
)
def test_the_trunk_is_loaded_whole_from_every_form(kind, form, tmp_path):
    network, path = kind.network(), tmp_path / "weights.ckpt"
    torch.save(FORMS[form](network.state_dict()), path)
    encoder, batch = kind.encoder(path), pictures(1, kind.size_px)
    with torch.inference_mode():
        values = normalised(batch, encoder.picture_preprocessing())
        expected = kind.embedding(network, values).numpy()
    off = 2e-2 if form == "half" else 1e-4
    assert embed(encoder, batch) == close_to(expected, off)


@pytest.mark.filterwarnings("ignore:.*left out|.*took")
@pytest.mark.parametrize("kind", ["timm"], indirect=True)
def test_the_content_says_what_a_file_is(kind, tmp_path):
    state, batch = kind.network().state_dict(), pictures(1, kind.size_px)
    plain, older, safe = (tmp_path / f"{number}.pt" for number in range(3))
    torch.save(state, plain)
    torch.save({"state_dict": state}, older, _use_new_zipfile_serialization=False)
    save(state, tmp_path / "w.safetensors").rename(safe)
    expected = embed(kind.encoder(plain), batch)
    for path in (older, safe):
        assert np.array_equal(embed(kind.encoder(path), batch), expected)


def test_what_was_left_out_is_said_in_a_line(tmp_path):
    state = tiny_network().state_dict()
    path = tmp_path / "faces.ckpt"
    torch.save(lightning(state), path)
    encoder = tiny(path)
    said = r"faces\.ckpt: took `state_dict\.model\.backbone`, left out head, loss$"
    with pytest.warns(UserWarning, match=said):
        encoder.load_model(CPU)
    save(without_head(state), path)
    with warnings.catch_warnings(action="error"):
        encoder.load_model(CPU)


@pytest.mark.filterwarnings("ignore:.*left out|.*took")
@pytest.mark.parametrize("prefix", ["", "encoder."])
@pytest.mark.parametrize(
    ("library", "model", "cut"),
    [
        ("timm", "test_resnet", lambda n: torch.nn.Sequential(*list(n.children())[:-1])),
        ("torchvision", "mobilenet_v2", lambda n: torch.nn.Sequential(n.features, POOL)),
        ("torchvision", "mobilenet_v2", lambda n: torch.nn.Sequential(*n.features, POOL)),
    ],
)
def test_a_trunk_made_of_the_network_s_children_is_known(tmp_path, prefix, library, model, cut):
    make = timm.create_model if library == "timm" else torchvision.models.get_model
    trunk = cut(trained(lambda: make(model)))
    state = with_prefix(trunk.state_dict(), prefix) | {"age.weight": torch.ones(2)}
    path = save(state, tmp_path / "weights.pth")
    encoder = make_encoder({"kind": library, "model": model, "weights": str(path)})
    batch = pictures(1, (64, 64))
    with torch.inference_mode():
        values = normalised(batch, encoder.picture_preprocessing())
        expected = trunk(values).flatten(1).numpy()
    assert embed(encoder, batch) == close_to(expected)


POOL = torch.nn.AdaptiveAvgPool2d(1)


@pytest.mark.filterwarnings("ignore:.*left out|.*took")
@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (("timm", "mobilenetv3_small_100"), ("torchvision", "mobilenet_v3_small")),
        (("torchvision", "mobilenet_v3_small"), ("timm", "mobilenetv3_small_100")),
    ],
)
def test_names_of_timm_and_torchvision_stand_for_each_other(tmp_path, theirs, ours):
    library, model = theirs
    make = timm.create_model if library == "timm" else torchvision.models.get_model
    path = save(trained(lambda: make(model)).state_dict(), tmp_path / "weights.pth")
    batch = pictures(1, (64, 64))
    theirs, ours = (
        make_encoder({"kind": kind, "model": name, "weights": str(path)})
        for kind, name in (theirs, ours)
    )
    network = theirs.load_model(CPU).network
    expected = TorchModel(network, "fp32", CPU, preprocessing=ours.picture_preprocessing()).submit(
        batch
    )()
    assert np.isfinite(expected).all()
    assert np.array_equal(embed(ours, batch), expected)


def test_both_libraries_know_the_names_that_stand_for_each_other():
    assert set(TIMM_NAMES) <= set(torchvision.models.list_models())
    assert set(TIMM_NAMES.values()) <= set(timm.list_models())


def test_a_trunk_is_never_partly_random(kind, tmp_path):
    path = save(without(kind.network().state_dict(), kind.body_key), tmp_path / "weights.pth")
    missing = kind.body_key.removeprefix("visual.")
    message = rf"weights\.pth cannot be loaded into {kind.model}: it lacks .*{missing}"
    with pytest.raises(EncoderError, match=message):
        embed(kind.encoder(path), pictures(1, kind.size_px))


def resnet():
    return tiny_network().state_dict()


def without(state, name):
    return {key: value for key, value in state.items() if key != name}


QUANTISED = r"numbers are quantised, and those of before are needed \("
REFUSED = {
    "another": (lambda: {"weight": torch.zeros(2)}, r"lacks 7\d of 90 entries"),
    "a bias more": (lambda: resnet() | {"conv1.bias": torch.ones(64)}, r"unknown .*conv1\.bias"),
    "deeper": (
        lambda: resnet() | {"layer1.7.conv1.weight": torch.ones(2)},
        r"unknown .*layer1\.7\.conv1.*set `model:`",
    ),
    "a stage more": (lambda: resnet() | {"layer9.weight": torch.ones(2)}, r"unknown .*layer9"),
    "other width": (
        lambda: resnet() | {"layer1.0.conv1.weight": torch.ones(2, 1, 7, 7)},
        r"layer1\.0\.conv1\.weight of shape \(2, 1, 7, 7\) in the place of ",
    ),
    "quantised": (lambda: resnet() | {"layer1.0.conv1.weight": torch.ones(1).char()}, QUANTISED),
    "packed": (lambda: resnet() | {"layer1.0.conv1.SCB": torch.ones(64)}, "unknown .*SCB"),
    "two networks": (
        lambda: {"student": resnet(), "teacher": resnet()},
        "several such networks, student, teacher: save the state dict of one",
    ),
    "no tensors": (lambda: {"epoch": 3, "lr": [0.1]}, "no tensors by name"),
    "an adapter": (
        lambda: with_prefix({"fc.lora_A.weight": torch.ones(4, 512)}, "base_model.model."),
        "LoRA adapter.*merge both",
    ),
    "an adapter beside its network": (
        lambda: resnet() | {"conv1.lora_A": torch.ones(4, 3)},
        "LoRA adapter.*merge both",
    ),
    "a network": (
        lambda: tiny_network(),
        r"objects \(timm\.models\.resnet\.ResNet.*torch\.load\('.*refused\.pth', "
        r"weights_only=False\).*torch\.save\(network\.state_dict\(\).*`weights:",
    ),
    "a network in a dict": (
        lambda: {"epoch": 1, "model": torch.nn.DataParallel(tiny_network())},
        r"objects \(.*DataParallel.*weights_only=False\).*\['model'\]",
    ),
}


OF_OTHERS = {
    "torchscript": (
        lambda path: torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path),
        r"it is TorchScript: save torch\.jit\.load",
    ),
    "cut off": (
        lambda path: torch.save(resnet(), path) or os.truncate(path, 4000),
        "cut short, so copy it again",
    ),
    "an archive": (
        lambda path: zipfile.ZipFile(path, "w").writestr("a.pth", "x"),
        "of another format: expected a state dict",
    ),
    "a bomb": (
        lambda path: np.savez_compressed(path.open("wb"), w=np.zeros(1 << 20)),
        "unpacks to more than 20 times its size",
    ),
}


@pytest.mark.parametrize("what", [*REFUSED, *OF_OTHERS])
def test_what_does_not_fit_is_refused_with_what_came(tmp_path, what):
    path = tmp_path / "refused.pth"
    if what in REFUSED:
        make, message = REFUSED[what]
        torch.save(make(), path)
    else:
        write, message = OF_OTHERS[what]
        write(path)
    with pytest.raises(EncoderError, match=rf"refused\.pth .*{message}") as caught:
        tiny(path).load_model(CPU)
    assert "weights_only=True" not in str(caught.value)


class Evil:
    def __reduce__(self):
        return os.mkdir, ("made",)


def test_no_code_in_a_file_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": Evil()}, "weights.pth")
    encoder = tiny("weights.pth")
    with pytest.raises(EncoderError, match=r"weights\.pth cannot be loaded into .*mkdir"):
        encoder.load_model(CPU)
    assert not Path("made").exists()
