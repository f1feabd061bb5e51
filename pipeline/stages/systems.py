"""Stage `systems`: fit the systems of `systems.yaml`, and set them beside published figures."""

from pipeline.compare.show import Display
from pipeline.errors import run_or_exit
from pipeline.params import load_params
from pipeline.paths import SYSTEM_RESULTS
from pipeline.systems.files import write_files
from pipeline.systems.run import run_systems
from pipeline.systems.settings import load_systems
from pipeline.systems.tables import all_remarks, text_tables


def main() -> None:
    """Write ``results/systems`` and print the tables."""
    systems = load_systems(load_params(check_heads=False))
    with Display() as display:
        for board in run_systems(systems):
            display.update(board)
    files = write_files(board, systems, SYSTEM_RESULTS)
    display.print(text_tables(board, systems), all_remarks(board))
    print("\n".join(["", *map(str, files)]))


if __name__ == "__main__":
    run_or_exit(main)
