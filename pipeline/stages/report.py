"""Stage `report`: write the report, print the leaderboard, and say where the files are."""

from pipeline.errors import run_or_exit
from pipeline.params import load_params
from pipeline.paths import IMPUTED, LEADERBOARD, METRICS, MODEL_CARD, PREDICTIONS, REPORT
from pipeline.report.making import read_results, write_model_card, write_report
from pipeline.report.text import imputed_text, leaderboard_text, notes, refit_notes


def main() -> None:
    """Write ``results/report.html``, ``model_card.md`` and ``run.json``, and print."""
    params = load_params()
    results = read_results(params)
    write_report(results)
    write_model_card(results)

    print(f"\nMean Pearson over {len(params.targets)} targets\n")
    print(leaderboard_text(results.table))
    for note in [*notes(params), *refit_notes(params), *imputed_text(results.imputed)]:
        print(f"\n{note}")
    print(f"\nreport       {REPORT}\nmodel card   {MODEL_CARD}\nleaderboard  {LEADERBOARD}")
    print(f"metrics      {METRICS}\npredictions  {PREDICTIONS}")
    print(f"imputed      {IMPUTED}")


if __name__ == "__main__":
    run_or_exit(main)
