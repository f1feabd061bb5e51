"""Stage `demo`: write the embedded corpus."""

from pipeline.demo.corpus import write_corpus
from pipeline.errors import run_or_exit
from pipeline.params import load_params
from pipeline.paths import DEMO


def main() -> None:
    """Write ``data/demo``: clips and label table."""
    params = load_params()
    write_corpus(DEMO, params.demo, params.targets)


if __name__ == "__main__":
    run_or_exit(main)
