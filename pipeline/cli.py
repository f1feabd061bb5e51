"""The command `eri`; each of its commands is a module of `pipeline.commands`.

Every command shows an example in its help; `--json` is for machines. A command imports what it
needs when it runs: no other one, and no help, waits for it.
"""

import typer

from pipeline import store
from pipeline.challenge import check_submission_command
from pipeline.commands.compare import compare_command
from pipeline.commands.doctor import doctor_command
from pipeline.commands.predict import predict_command
from pipeline.commands.serve import serve_command
from pipeline.commands.tune import tune_command
from pipeline.errors import run_or_exit
from pipeline.extract import extract_command
from pipeline.imports.command import app as import_app
from pipeline.report.command import report_command

app = typer.Typer(
    name="eri",
    help="Emotional reaction intensity from video: features, heads, stack.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("extract")(extract_command)
app.command("compare")(compare_command)
app.command("tune")(tune_command)
app.command("predict")(predict_command)
app.command("report")(report_command)
app.command("serve")(serve_command)
app.command("check-submission")(check_submission_command)
app.command("doctor")(doctor_command)
app.add_typer(import_app, name="import")
app.add_typer(store.app, name="store")


def main() -> None:
    """Run the command line: status 0 done, 1 failed, 2 usage."""
    run_or_exit(app)


if __name__ == "__main__":
    main()
