"""Commands, run in the process of the tests: to load torch for each would take minutes."""

from click.testing import Result
from typer.testing import CliRunner

from features.extraction.workers import Failure, WorkerError
from pipeline import cli
from pipeline.errors import user_errors


def eri(*arguments: object, status: int | None = 0) -> Result:
    """Run `eri`; it has to end with a status (None: any), without what would be a traceback."""
    shown = CliRunner().invoke(cli.app, [*map(str, arguments)])
    assert status in (None, shown.exit_code), (shown.output, shown.exception)
    assert isinstance(shown.exception, (type(None), SystemExit, *user_errors()))
    return shown


class WorkersHere:
    """In place of worker processes: works in this process, and lists what is fitted."""

    fitted: list[str] = []  # noqa: RUF012  # tests put another in its place

    def __init__(self, n_workers=1) -> None:
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def call(self, work, task, *, limit_s):
        self.fitted.append(task[1].name)
        try:
            made = work(task)
            while True:
                next(made)
        except StopIteration as end:
            return end.value
        except ValueError as error:
            raise WorkerError(Failure(str(error))) from error
