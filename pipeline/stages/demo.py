"""Stage `demo`: write the embedded corpus, where it is what the run is made of."""

from pipeline.demo.corpus import write_corpus
from pipeline.errors import run_or_exit
from pipeline.params import load_params
from pipeline.paths import DEMO


def main() -> None:
    """Write ``data/demo``: clips and label table, or nothing where `data` points elsewhere."""
    params = load_params(check_heads=False)
    DEMO.mkdir(parents=True, exist_ok=True)
    if params.data.media.is_relative_to(DEMO):
        write_corpus(DEMO, params.demo, params.targets)


if __name__ == "__main__":
    run_or_exit(main)
