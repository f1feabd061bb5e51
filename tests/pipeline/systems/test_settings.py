import re

import pytest

from pipeline.params import ParamsError, load_params
from pipeline.systems.settings import load_systems


def test_every_subset_of_the_modalities_is_a_system(systems_project):
    systems = systems_project.load()
    assert list(systems.all) == ["eyes", "body", "both", "vision", "sound", "vision+sound"]
    assert systems.by_modality["vision", "sound"].view == "face+posture+voice"
    assert {system.head for system in systems.by_modality.values()} == {"ridge"}
    assert systems.encoders == ("posture",)
    assert list(systems.params.encoders) == ["face", "voice", "posture"]


def test_modalities_may_be_left_out(systems_project):
    del systems_project.content["modalities"]
    assert systems_project.load().by_modality == {}


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("systems.eyes.encoders", ["fase"], "unknown encoder 'fase'; did you mean 'face'"),
        ("systems.eyes.encoders", ["face", "face"], "the encoder 'face' stands there twice"),
        ("systems.eyes.encoders", [], "systems.eyes.encoders"),
        ("systems.eyes.had", "ridge", "systems.eyes.had: unknown key"),
        ("systems.eyes.published", "paper, ResNet", "did you mean 'paper, ResNet50'"),
        (
            "systems.twin",
            {"encoders": ["face", "voice"], "head": "average"},
            "systems.twin: the same as both, average on face+voice: leave one out",
        ),
        (
            "systems.sound",
            {"encoders": ["voice"], "head": "ridge"},
            "systems.sound: another row of the table has that name",
        ),
        ("modalities.touch", [], "modalities.touch: no encoder"),
        ("modalities.touch", ["voice"], "the encoder 'voice' is of sound already"),
        ("modalities.touch", ["skin"], "modalities.touch: unknown encoder 'skin'"),
        (
            "encoders.face",
            {"kind": "opensmile", "model": "x"},
            "params.yaml has an encoder of that",
        ),
        ("encoders.posture.kind", "opensmil", "unknown kind 'opensmil'; did you mean 'opensmile'"),
        ("systems", {}, "systems:"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(systems_project, place, value, message):
    *folders, last = place.split(".")
    section = systems_project.content
    for folder in folders:
        section = section[folder]
    section[last] = value
    with pytest.raises(ParamsError, match=re.escape(message)) as caught:
        systems_project.load()
    assert str(caught.value).startswith("systems.yaml: ")


def test_a_name_that_stands_twice_is_refused(systems_project, tmp_path):
    system = "{encoders: [face], head: ridge}"
    path = tmp_path / "twice.yaml"
    path.write_text(f"systems:\n  a: {system}\n  b: {system}\n  a: {system}\n")
    with pytest.raises(ParamsError, match=r"the key 'a' stands there twice"):
        load_systems(load_params(check_heads=False), path)


def test_the_project_s_own_file_has_the_paper_s_five_systems(request, monkeypatch):
    monkeypatch.chdir(request.config.rootpath)
    systems = load_systems(load_params(check_heads=False))
    paper = {name: s for name, s in systems.named.items() if s.published is not None}
    assert len(paper) == 5
    assert paper["resnet50"].published == "paper, ResNet50"
    others = {s.published for name, s in paper.items() if name != "resnet50"}
    assert others == {"not available"}
    assert len(systems.by_modality) == 7
    systems.params.make_encoders()
