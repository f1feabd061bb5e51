"""What only a browser can tell: no error in the console, nothing fetched, nothing cut off."""

import shutil
import subprocess
import tempfile

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)

PROBE = """
<script>
addEventListener("load", () => {
  const page = document.documentElement, found = [];
  if (page.scrollWidth > page.clientWidth) found.push("page wider than the screen");
  for (const svg of document.querySelectorAll("svg")) {
    const box = svg.getBoundingClientRect();
    const name = svg.getAttribute("aria-label").split(".")[0];
    if (box.width < 200) found.push(name + " too small");
    for (const text of svg.querySelectorAll("text")) {
      const t = text.getBoundingClientRect();
      if (t.height && t.height < 10) found.push(name + ": illegible " + text.textContent);
      if (t.right > box.right + 1 || t.left < box.left - 1) found.push(name + ": cut off");
    }
  }
  document.body.dataset.probe = found.length ? found.join("; ") : "all well";
});
</script>
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
@pytest.mark.parametrize("width", [500, 1280])  # headless windows are at least 500 wide
def test_the_report_is_legible_and_silent_in_a_browser(render, tmp_path, width):
    page = tmp_path / "report.html"
    page.write_text(render().replace("</body>", PROBE + "</body>"), encoding="utf-8")
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run(
            [
                *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
                *(f"--user-data-dir={profile}", "--enable-logging=stderr"),
                *(f"--window-size={width},900", page.as_uri()),
            ],
            capture_output=True,
            text=True,
            timeout=100,
            check=True,
        )
    assert 'data-probe="all well"' in done.stdout
    assert ":CONSOLE" not in done.stderr
