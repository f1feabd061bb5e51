"""The command `eri report`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.paths import REPORT


def report_command(
    out: Annotated[Path, typer.Option(help="The page that is written.")] = REPORT,
) -> None:
    """Write the report of the run that lies here once more, without DVC.

    Example: eri report

    Example: eri report --out for_my_colleagues.html
    """
    from features.files import replacing_file
    from pipeline.params import load_params
    from pipeline.report.page import render_report
    from pipeline.report.results import read_results

    page = render_report(read_results(load_params()))
    with replacing_file(out) as beside:
        beside.write_text(page, encoding="utf-8")
    print(out)
