"""The command `eri doctor`."""

import json

import typer

from pipeline.commands.options import Json, ParamsFile
from pipeline.paths import PARAMS


def doctor_command(params_file: ParamsFile = PARAMS, as_json: Json = False) -> None:
    """Check the installation, the parameters, the weights and the cache.

    Pretrained weights are fetched where they are missing. Status 1 when something would stop a run.

    Example: eri doctor
    """
    from pipeline.doctor import examine

    findings = examine(params_file)
    if as_json:
        print(json.dumps([vars(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            print(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.subject:24} {finding.detail}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)
