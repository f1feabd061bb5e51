"""The command `eri report`."""


def report_command() -> None:
    """Write the report and the model card of the run that lies here once more, without DVC.

    Example: eri report
    """
    from pipeline.stages import report

    report()
