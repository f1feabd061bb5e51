"""A project of two encoders, with systems that need a third one."""

import pytest
import yaml

from pipeline.params import load_params
from pipeline.systems.settings import load_systems
from tests.pipeline.compare.conftest import fitted, the_same_code  # noqa: F401


class SystemsProject:
    """The project, what `systems.yaml` holds, and how to read it."""

    def __init__(self, project) -> None:
        self.project = project
        self.content = {
            "encoders": {"posture": {"kind": "opensmile", "model": "eGeMAPSv02"}},
            "systems": {
                "eyes": {"encoders": ["face"], "head": "ridge", "published": "paper, ResNet50"},
                "body": {"encoders": ["posture"], "head": "ridge", "published": "not available"},
                "both": {"encoders": ["voice", "face"], "head": "average", "note": "as is"},
            },
            "modalities": {"vision": ["face", "posture"], "sound": ["voice"]},
            "modality_head": "ridge",
        }

    def load(self):
        text = yaml.safe_dump(self.content, sort_keys=False)
        (self.project.folder / "systems.yaml").write_text(text)
        return load_systems(load_params(check_heads=False))


@pytest.fixture
def systems_project(project, monkeypatch) -> SystemsProject:
    monkeypatch.setitem(project.write_store.__globals__["WIDTHS"], "posture", 5)
    project.write_store("posture")
    (project.folder / "data/features").rename(project.folder / "data/systems")
    return SystemsProject(project)
