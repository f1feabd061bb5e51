"""The command `eri report`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.paths import COMPARE_REPORT, REPORT


def report_command(
    compare: Annotated[
        str | None,
        typer.Option(help="A revision to hold beside what lies here, or REV1..REV2."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help=f"The page; default {REPORT}, with --compare {COMPARE_REPORT}."),
    ] = None,
) -> None:
    """Write the report of the run that lies here, or one of two revisions side by side.

    A revision is what git knows, or an experiment of DVC; its results come from DVC's cache or
    remote, and nothing here is changed. Without --compare this is the stage `report` without DVC.

    Example: eri report

    Example: eri report --compare HEAD~1

    Example: eri report --compare v1..v2 --out two_versions.html
    """
    if compare is None:
        from pipeline.params import load_params
        from pipeline.report.making import read_results, write_report

        page = out or REPORT
        write_report(read_results(load_params()), page)
        print(page)
        return
    from tempfile import TemporaryDirectory

    from pipeline.report.comparison import compare_runs, comparison_text, render_comparison
    from pipeline.report.making import write_page
    from pipeline.report.revisions import fetch_run, parse_revisions

    page, (before, after) = out or COMPARE_REPORT, parse_revisions(compare)
    with TemporaryDirectory() as first, TemporaryDirectory() as second:
        folders = (fetch_run(before, Path(first)), fetch_run(after, Path(second)))
        comparison = compare_runs(before, after, folders)
    write_page(page, render_comparison(comparison))
    print(comparison_text(comparison))
    for note in comparison.notes:
        print(f"\n{note}")
    print(f"\n{page}")
