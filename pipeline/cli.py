"""The command `eri`. Every command shows an example in its help; `--json` is for machines.

A command imports what it needs when it runs: no other one, and no help, waits for it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipeline import store_cli
from pipeline.errors import run_or_exit
from pipeline.imports import cli as imports_cli
from pipeline.paths import BUNDLE, CLIPS, COMPARISON, PARAMS
from pipeline.report.cli import report_command

if TYPE_CHECKING:
    from features.encoders import Encoder
    from pipeline.params import Params

app = typer.Typer(
    name="eri",
    help="Emotional reaction intensity from video: features, heads, stack.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(store_cli.app, name="store")
app.add_typer(imports_cli.app, name="import")
app.command("report")(report_command)

ParamsFile = Annotated[Path, typer.Option("--params", help="The parameters to use.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def main() -> None:
    """Run the command line: status 0 done, 1 failed, 2 usage."""
    run_or_exit(app)


@app.command("extract")
def extract_command(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Media files, or folders of them.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the feature stores.")] = None,
    encoders: Annotated[
        str | None, typer.Option(help="Names from params.yaml, joined by commas; default all.")
    ] = None,
    list_only: Annotated[
        bool, typer.Option("--list", help="Show the encoders and what is cached; embed nothing.")
    ] = False,
    params_file: ParamsFile = PARAMS,
    as_json: Json = False,
) -> None:
    """Embed media files with the encoders of params.yaml; no labels and no DVC needed.

    One feature store per encoder is written, as plain Parquet. What the cache holds is not computed
    again. A clip's id is its file name without the ending.

    Example: eri extract videos/ --out features/ --encoders clip,egemaps

    Example: eri extract --list
    """
    from features.clips import index_files
    from features.encoders import ImportedEncoder
    from features.extract import extract
    from pipeline.failures import summary
    from pipeline.files import find_media
    from pipeline.params import ParamsError, load_params

    params = load_params(params_file)
    available = params.make_encoders()
    names = _names(encoders) or [  # imported features are of other clips than the files named
        name
        for name, each in available.items()
        if list_only or not isinstance(each, ImportedEncoder)
    ]
    unknown = [name for name in names if name not in available]
    if unknown:
        raise ParamsError(f"unknown encoder(s) {unknown}: expected some of {list(available)}")
    chosen = {name: available[name] for name in names}
    if list_only:
        _list_encoders(chosen, params, find_media(paths) if paths else None, as_json)
        return
    if not paths or out is None:
        raise typer.BadParameter("give media files and --out FOLDER, or --list")
    clips = index_files(find_media(paths))
    report = extract(clips, chosen, params.sampling, out)
    if as_json:
        content = {
            name: {
                "store": str(out / name),
                "n_clips": len(clips),
                "n_embedded": report.n_embedded[name],
                "n_computed": report.n_computed[name],
                "failures": report.failures[name].to_dict("records"),
            }
            for name in names
        }
        print(json.dumps(content, indent=2))
        return
    for name in names:
        print(f"{summary(name, len(clips), report.failures[name])} -> {out / name}")


@app.command("predict")
def predict_command(
    paths: Annotated[list[Path], typer.Argument(help="Media files, or folders of them.")],
    bundle: Annotated[Path, typer.Option(help="The bundle that `dvc repro` wrote.")] = BUNDLE,
    csv: Annotated[Path | None, typer.Option(help="Write the table here, as CSV.")] = None,
    parquet: Annotated[Path | None, typer.Option(help="Write it as Parquet.")] = None,
    timeline: Annotated[
        Path | None, typer.Option(help="Folder for tables and pictures of intensity over time.")
    ] = None,
    window_s: Annotated[float, typer.Option(min=0.1, help="Length of its windows.")] = 2.0,
    hop_s: Annotated[float, typer.Option(min=0.01, help="From one window to the next.")] = 0.5,
    as_json: Json = False,
) -> None:
    """Predict the intensities of new clips: videos, sounds or pictures.

    A clip without sound or without a face is predicted from the rest, and says so. Embeddings come
    from the cache where it has them. Status 1 when no clip could be predicted.

    Example: eri predict videos/ --csv predicted.csv

    Example: eri predict clip.mp4 --bundle results/bundle --json

    Example: eri predict clip.mp4 --timeline over_time/ --window-s 2 --hop-s 0.5
    """
    from pipeline.predict.command import TimelineRequest, predict_and_print

    over_time = None if timeline is None else TimelineRequest(timeline, window_s, hop_s)
    if not predict_and_print(paths, bundle, csv, parquet, over_time, as_json):
        raise typer.Exit(1)


@app.command("compare")
def compare_command(
    encoders: Annotated[
        str | None,
        typer.Option(help="Views: encoders, alone or joined by +; default each, and all joined."),
    ] = None,
    heads: Annotated[
        str | None, typer.Option(help="Names from params.yaml, or kinds; default all named there.")
    ] = None,
    targets: Annotated[
        str | None, typer.Option(help="Fit and score these only; default all.")
    ] = None,
    pooling: Annotated[
        str | None, typer.Option(help="Statistics/parts, such as mean,std/whole,halves.")
    ] = None,
    split: Annotated[
        Literal["oof", "val"] | None,
        typer.Option(help="Score out of fold on Train, or on Val; default val where labelled."),
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="A column, such as country: scores by its values too.")
    ] = None,
    learning_curve: Annotated[
        bool, typer.Option("--learning-curve", help="Fit the best one on fewer people too.")
    ] = False,
    time_limit_s: Annotated[
        float, typer.Option(min=0.1, help="Longest time for one head on one view.")
    ] = 600.0,
    out: Annotated[Path, typer.Option(help="Folder for the tables.")] = COMPARISON,
    params_file: ParamsFile = PARAMS,
    as_json: Json = False,
) -> None:
    """Rank heads on views: which heads on which features, with what certainty.

    Names are joined by commas. What was fitted before, here or by `dvc repro`, is not fitted
    again. A head that fails or takes too long is a row.

    Example: eri compare --heads ridge,lightgbm --encoders clip,egemaps,clip+egemaps

    Example: eri compare --pooling mean,std,slope/whole,quarters --split oof

    Example: eri compare --by country --learning-curve
    """
    if pooling is not None and pooling.count("/") != 1:
        raise typer.BadParameter("expected statistics/parts, such as mean,std/whole,halves")
    from pipeline.compare.command import compare_and_print
    from pipeline.compare.plan import Request

    request = Request(
        encoders=_names(encoders),
        heads=_names(heads),
        targets=_names(targets),
        pooling=pooling,
        split=split,
        by=by,
        learning_curve=learning_curve,
        params=params_file,
    )
    compare_and_print(request, time_limit_s, out, as_json)


@app.command("tune")
def tune_command(
    head: Annotated[str, typer.Argument(help="A name under heads: in params.yaml.")],
    trials: Annotated[
        int, typer.Option(min=1, help="How many there shall be, earlier ones included.")
    ] = 50,
    view: Annotated[
        str | None, typer.Option(help="Encoders joined by +; default all of them.")
    ] = None,
    params_file: ParamsFile = PARAMS,
    as_json: Json = False,
) -> None:
    """Search a head's settings by their score out of fold, and write the best into params.yaml.

    A search that was stopped goes on where it was. Val and Test are never looked at.

    Example: eri tune lightgbm --trials 40

    Example: eri tune mlp --view clip+egemaps
    """
    from pipeline.tune.command import tune_and_write

    tune_and_write(head, trials, view, params_file, as_json)


@app.command("check-submission")
def check_submission_command(
    file: Annotated[Path, typer.Argument(help="The prediction file, CSV.")],
    split: Annotated[
        Literal["Test", "Val", "all"], typer.Option(help="Whose clips it should have.")
    ] = "all",
    params_file: ParamsFile = PARAMS,
    as_json: Json = False,
) -> None:
    """Check a prediction file against the clip table before it is handed in, and score it.

    Status 1 when it would be refused.

    Example: eri check-submission results/predictions.csv

    Example: eri check-submission predictions.csv --split Test
    """
    from pipeline.challenge.checking import check_submission, check_text
    from pipeline.clip_table import read_clip_table
    from pipeline.params import load_params

    params = load_params(params_file, check_heads=False)
    check = check_submission(file, read_clip_table(), params.targets, split)
    print(json.dumps(check.as_json(), indent=2) if as_json else check_text(check, file))
    if not check.accepted:
        raise typer.Exit(1)


@app.command("doctor")
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


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",")]


def _list_encoders(
    encoders: Mapping[str, "Encoder"],
    params: "Params",
    media: Mapping[str, Path] | None,
    as_json: bool,
) -> None:
    """Count in the media that were named, else in the pipeline's clip table, else in the cache."""
    from features.cache import default_cache_root
    from features.catalogue import list_encoders
    from features.clips import index_files
    from pipeline.clip_table import read_clip_table

    clips = read_clip_table() if media is None and CLIPS.exists() else None
    if media is not None:
        clips = index_files(media)
    entries = list_encoders(encoders, params.sampling, default_cache_root(), clips)
    if as_json:
        print(json.dumps([vars(entry) for entry in entries], indent=2))
        return
    print(
        f"{'name':12} {'kind':11} {'model':20} {'weights':24} {'dim':>6} {'cached':>13}  identity"
    )
    for e in entries:
        cached = f"{e.n_cached}" + ("" if e.n_clips is None else f" of {e.n_clips}")
        print(
            f"{e.name:12} {e.kind:11} {e.model or '-':20} {e.weights:24} {e.dimension or '-':>6} "
            f"{cached:>13}  {e.identity or '-'}"
        )
    for e in entries:
        if e.problem:
            print(f"{e.name}: {e.problem}")


if __name__ == "__main__":
    main()
