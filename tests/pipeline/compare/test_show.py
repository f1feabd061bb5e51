import io

import pytest
from rich.console import Console

from pipeline.compare import show
from pipeline.compare.plan import Request
from pipeline.compare.run import run


@pytest.fixture
def terminal(monkeypatch):
    """Make the display believe in a terminal of some width; returns what was drawn."""

    def make(width):
        drawn = io.StringIO()
        monkeypatch.setattr(
            show,
            "Console",
            lambda **options: Console(
                file=drawn,
                force_terminal=True,
                color_system=None,
                width=width,
                height=50,
                **options,
            ),
        )
        return drawn

    return make


@pytest.mark.parametrize(("width", "has_targets"), [(150, True), (75, False)])
def test_a_terminal_fills_up_and_leaves_out_what_has_no_room(
    project, fitted, terminal, width, has_targets
):
    drawn = terminal(width)
    with show.Display() as display:
        for board in run(Request()):
            display.update(board)
    during = drawn.getvalue()
    assert "0 of 8 rows are done, 0 of them from before; baseline/mean has taken 0 s" in during
    display.finish(board)
    last = drawn.getvalue()[len(during) :]
    assert ("awe" in last) == has_targets
    for text in ("9 of 9 rows are done", "head/view", "P > best", "average/face+voice", "stack"):
        assert text in last
    assert max(len(line.rstrip()) for line in last.splitlines()) <= width
