"""The command `eri`: a map from names to functions, each in the module of its command.

Every command shows an example in its help; `--json` is for machines. Modules of commands import
heavy libraries in their functions, so no help and no other command waits for them.
"""

from collections.abc import Callable

import typer

from pipeline import store
from pipeline.challenge import check_submission_command
from pipeline.compare import compare_command
from pipeline.doctor import doctor_command
from pipeline.encoders_command import encoders_command
from pipeline.errors import run_or_exit
from pipeline.extract import extract_command
from pipeline.imports.command import app as import_app
from pipeline.predict_command import predict_command
from pipeline.serve import serve_command
from pipeline.systems import systems_command
from pipeline.tune import tune_command

COMMANDS: dict[str, Callable[..., None]] = {
    "encoders": encoders_command,
    "extract": extract_command,
    "compare": compare_command,
    "tune": tune_command,
    "systems": systems_command,
    "predict": predict_command,
    "serve": serve_command,
    "check-submission": check_submission_command,
    "doctor": doctor_command,
}
GROUPS = {"import": import_app, "store": store.app}

app = typer.Typer(
    name="eri",
    help="Emotional reaction intensity from video: features, heads, stack.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _name, _command in COMMANDS.items():
    app.command(_name)(_command)
for _name, _group in GROUPS.items():
    app.add_typer(_group, name=_name)


def main() -> None:
    """Run the command line: status 0 done, 1 failed, 2 usage."""
    run_or_exit(app)


if __name__ == "__main__":
    main()
