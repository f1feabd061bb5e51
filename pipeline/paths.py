"""Where the stages read and write, relative to the repository root; `dvc.yaml` names the same."""

import hashlib
from pathlib import Path

_LONGEST_NAME_BYTES = 200  # file systems allow 255, with all that is added

PARAMS = Path("params.yaml")

DEMO = Path("data/demo")
IMPORTS = Path("data/imports")
CLIPS = Path("data/clips.parquet")
FOLDS = Path("data/folds.parquet")
PEOPLE = Path("data/people.json")
TRANSCRIPTS = Path("data/transcripts.parquet")
FEATURES = Path("data/features")
HEARD = "transcripts"  # the store of what a recogniser heard, beside those of encoders
IMPORTED_FEATURES = Path("data/imports/features")
IMPORTED_TRANSCRIPTS = Path("data/imports/transcripts.parquet")
POOLED = Path("data/pooled")

RESULTS = Path("results")
OOF = RESULTS / "oof"
HEADS = RESULTS / "heads"
BASELINES = RESULTS / "baselines.parquet"
STACK = RESULTS / "stack.parquet"
STACK_FITTED = RESULTS / "stack.skops"
STACK_WEIGHTS = RESULTS / "stack_weights.csv"
PREDICTIONS = RESULTS / "predictions.csv"
BUNDLE = RESULTS / "bundle"
IMPUTED = RESULTS / "imputed.csv"
METRICS = RESULTS / "metrics.json"
LEADERBOARD = RESULTS / "leaderboard.csv"
SLICES = RESULTS / "slices.csv"
CONTRIBUTIONS = RESULTS / "contributions.csv"
LEARNING_CURVE = RESULTS / "learning_curve.csv"
PLOTS = RESULTS / "plots"
REPORT = RESULTS / "report.html"
MODEL_CARD = RESULTS / "model_card.md"
RUN = RESULTS / "run.json"
COMPARISON = RESULTS / "compare"
TUNING = RESULTS / "tune"

# The systems of systems.yaml.
SYSTEMS = Path("systems.yaml")
SYSTEM_FEATURES = Path("data/systems")
SYSTEM_RESULTS = RESULTS / "systems"


OUTPUTS = (DEMO, CLIPS, TRANSCRIPTS, FEATURES, POOLED, IMPORTS, RESULTS)
"""What stages and imports write; DVC refuses a dependency that holds any of it."""


def holds_outputs(folder: Path) -> bool:
    """Whether any of `OUTPUTS` lies in a folder, so that DVC refuses it as one of media."""
    return any(each.resolve().is_relative_to(folder.resolve()) for each in OUTPUTS)


def file_name(name: str, ending: str) -> str:
    """Name a file; by a digest too where the name is a path or very long."""
    plain = name.replace("/", "_")
    if plain != name or len(plain.encode()) > _LONGEST_NAME_BYTES:
        digest = hashlib.sha256(name.encode()).hexdigest()[:16]
        plain = f"{plain.encode()[:_LONGEST_NAME_BYTES].decode(errors='ignore')}-{digest}"
    return f"{plain}{ending}"


def fitted_head(head: str, view: str) -> Path:
    """Where the stage `fit` keeps a fitted head."""
    return HEADS / head / file_name(view, ".skops")
