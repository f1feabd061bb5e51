"""The stages of a pipeline run in this process: DVC would load torch and others anew for each."""

from importlib import import_module
from pathlib import Path
from unittest import mock

import yaml


def run_stages(pipeline: str = "dvc.yaml") -> None:
    """Run all stages in the order of the file, in the working folder."""
    params = yaml.safe_load(Path("params.yaml").read_text())
    for stage in yaml.safe_load(Path(pipeline).read_text())["stages"].values():
        module = import_module(stage.get("do", stage)["cmd"].split()[2])
        for key in params.get(stage["foreach"][2:-1], {}) if "foreach" in stage else [None]:
            with mock.patch("sys.argv", ["stage", *([] if key is None else [key])]):
                module.main()
