"""Stage `report`: write the report and what goes with it, and print the leaderboard."""

import json

from features.files import replacing_file
from pipeline.errors import run_or_exit
from pipeline.leaderboard import leaderboard_text
from pipeline.params import load_params
from pipeline.paths import IMPUTED, LEADERBOARD, METRICS, MODEL_CARD, PREDICTIONS, REPORT, RUN
from pipeline.report.data import imputed_sentences
from pipeline.report.model_card import render_model_card
from pipeline.report.page import render_report, run_notes
from pipeline.report.results import read_results


def main() -> None:
    """Write ``results/report.html``, ``model_card.md`` and ``run.json``, and print."""
    params = load_params()
    results = read_results(params)
    pages = {
        REPORT: render_report(results),
        MODEL_CARD: render_model_card(results),
        RUN: json.dumps(results.record, indent=2) + "\n",
    }
    for path, text in pages.items():
        with replacing_file(path) as beside:
            beside.write_text(text, encoding="utf-8")

    print(f"\nMean Pearson over {len(params.targets)} targets\n")
    print(leaderboard_text(results.board).to_string(index=False))
    for note in [*run_notes(params), *imputed_sentences(results.imputed)]:
        print(f"\n{note}")
    print(f"\nreport       {REPORT}\nmodel card   {MODEL_CARD}\nleaderboard  {LEADERBOARD}")
    print(f"metrics      {METRICS}\npredictions  {PREDICTIONS}")
    print(f"imputed      {IMPUTED}")


if __name__ == "__main__":
    run_or_exit(main)
