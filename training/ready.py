"""Make a ready bundle again from its data: ``python -m training.ready voice CREMAD_ROOT``.

From the root of the repository. It is the bundle of a run like any other: the import, then all
stages, with the parameters in ``pipeline/ready``. ``voice`` takes a clone of CREMA-D, ``face`` a
folder with FER+ as PNG files and a table of votes. Embeddings are cached as in any run.
"""

import contextlib
import shutil
from pathlib import Path
from typing import Annotated

import typer

from features.files import replacing_file, replacing_folder
from pipeline import stages
from pipeline.bundle import READY, BundleError
from pipeline.errors import run_or_exit
from pipeline.params import load_params
from pipeline.paths import BUNDLE, MODEL_CARD

LARGEST_BYTES = 6_000_000

IMPORTS = {
    "voice": "cremad {data} --no-probe --ratings voice --split-by-person 1,0,0",
    "face": "table {data}/labels.csv --no-probe --media {data} --targets "
    "happiness,surprise,sadness,anger,disgust,fear,contempt",
}
"""Arguments of `eri import`."""

RIGHTS = {
    "voice": """Sound and ratings of CREMA-D (Cao et al., 2014, IEEE Transactions on Affective
Computing 5(4)): actors who spoke twelve fixed sentences, rated by listeners who heard the sound
alone. ODbL 1.0, its contents DbCL 1.0: the bundle is a work produced from it. The encoder Whisper
tiny.en is MIT. It has learned acted American English from studio recordings; spontaneous speech,
other languages, music and noise are unlike that.""",
    "face": """Pictures of FER2013 (Goodfellow et al., 2013), found on the web, for research only;
votes of FER+ (Barsoum et al., 2016), MIT, by ten raters a picture. The encoder was trained on the
split Train too. A target is the share of raters who would choose that expression for a face in one
small grey picture; it has learned nothing of movement, of sound, or of why a face looks so.""",
}
"""Which data, whose, and what they are not."""


def make(
    name: Annotated[str, typer.Argument(help=f"{' or '.join(IMPORTS)}.")],
    data: Annotated[Path, typer.Argument(help="The folder of its data.", exists=True)],
    work: Annotated[Path, typer.Option(help="Where the run lies.")] = Path("ready-run"),
) -> None:
    """Import the data, run all stages, and keep the bundle and its card with the package."""
    from pipeline.cli import app

    work.mkdir(parents=True, exist_ok=True)
    shutil.copy(READY / f"{name}.yaml", work / "params.yaml")
    arguments = IMPORTS[name].format(data=data.resolve()).split()
    with contextlib.chdir(work):
        app(["import", *arguments], standalone_mode=False)
        heads = [[name] for name in load_params().heads]
        for stage in stages.STAGES[1:]:  # but for the demo
            for arguments in heads if stage is stages.fit else [[]]:
                stage(*arguments)
    n_bytes = sum(path.stat().st_size for path in (work / BUNDLE).iterdir())
    if n_bytes > LARGEST_BYTES:
        raise BundleError(f"{work / BUNDLE} has {n_bytes} bytes: expected {LARGEST_BYTES} at most")
    with replacing_folder(READY / name) as beside:
        shutil.copytree(work / BUNDLE, beside, dirs_exist_ok=True)
    card = (work / MODEL_CARD).read_text(encoding="utf-8")
    with replacing_file(READY / f"{name}.md") as beside:
        title = f"# Model card: the ready bundle `{name}`\n\n## Whose data\n\n{RIGHTS[name]}\n\n"
        beside.write_text(title + card[card.index("## Model details") :], encoding="utf-8")


if __name__ == "__main__":
    run_or_exit(lambda: typer.run(make))
