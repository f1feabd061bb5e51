"""Commands, run in the process of the tests: to load torch for each would take minutes."""

from click.testing import Result
from typer.testing import CliRunner

from pipeline import cli
from pipeline.errors import user_errors


def eri(*arguments: object, status: int | None = 0) -> Result:
    """Run `eri`; it has to end with a status (None: any), without what would be a traceback."""
    shown = CliRunner().invoke(cli.app, [*map(str, arguments)])
    assert status in (None, shown.exit_code), (shown.output, shown.exception)
    assert isinstance(shown.exception, (type(None), SystemExit, *user_errors()))
    return shown
