"""The stages of a pipeline run in this process: DVC would load torch and others anew for each."""

from pathlib import Path

import yaml

from pipeline import stages


def run_stages(pipeline: str = "dvc.yaml") -> None:
    """Run all stages in the order of the file, in the working folder."""
    params = yaml.safe_load(Path("params.yaml").read_text())
    for stage in yaml.safe_load(Path(pipeline).read_text())["stages"].values():
        run = getattr(stages, stage.get("do", stage)["cmd"].split()[3])
        for key in params[stage["foreach"][2:-1]] if "foreach" in stage else [None]:
            run(*([] if key is None else [key]))
