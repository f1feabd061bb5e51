"""The report of a run as one self-contained HTML page, its model card, and what it is made of."""


def report_command() -> None:
    """Write the report and the model card of the run that lies here once more, without DVC.

    Example: eri report
    """
    from pipeline.stages import report

    report()
