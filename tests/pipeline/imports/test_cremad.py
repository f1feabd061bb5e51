from pathlib import Path

import pandas as pd
import pytest

from pipeline.clip_table import read_labels
from pipeline.imports.layouts import CREMAD_TARGETS
from pipeline.params import load_params

HEADER = ["", *"ADFHNS", "fileName", "meanEmoResp"] + [
    f"mean{name}Resp" for name in ("Anger", "Disgust", "Fear", "Happy", "Neutral", "Sad")
]
ACTORS = [str(1001 + k) for k in range(5)]
CLIPS = [f"{actor}_IEO_{end}" for actor in ACTORS for end in ("ANG_HI", "HAP_LO", "NEU_XX")]
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 65536\n"


@pytest.fixture
def root(tmp_path, touch):
    """Three clips each of five actors, whose votes differ between voice, face and both."""
    rows = [
        # Six of ten voted for anger, two for happy, one for neutral, one for sad.
        [digit * 100000 + k, 6, 0, 0, 2, 1, 1, clip, 50, 10 * digit, -1, -1, 90, 70, k]
        for digit in (1, 2, 3)
        for k, clip in enumerate(CLIPS, start=1)
    ]
    folder = tmp_path / "CREMA-D"
    (folder / "processedResults").mkdir(parents=True)
    votes = pd.DataFrame(rows, columns=HEADER)
    votes.to_csv(folder / "processedResults/tabulatedVotes.csv", index=False)
    people = pd.DataFrame({"ActorID": ACTORS, "Age": range(20, 25), "Sex": "Female"})
    people.to_csv(folder / "VideoDemographics.csv", index=False)
    for clip in CLIPS:
        touch(f"CREMA-D/AudioWAV/{clip}.wav", f"CREMA-D/VideoFlash/{clip}.flv")
    return folder


@pytest.mark.parametrize(
    ("ratings", "file", "anger"),
    [("voice", "{}.wav", 0.06), ("face", "{}.flv", 0.12), ("both", "{}.flv", 0.18)],
)
def test_targets_are_the_mean_levels_of_all_raters(root, run, ratings, file, anger):
    shown = run("cremad", root, "--ratings", ratings, "--no-probe")
    assert list(shown["by_kind"]) == ["constant targets"]
    params = load_params(Path("params.yaml"), check_heads=False)
    table = read_labels(params.data.labels, params.targets)
    assert params.targets == CREMAD_TARGETS
    assert params.evaluation.slices == ("duration_s", "sex", "age")
    assert table["clip_id"].tolist() == CLIPS
    assert table["path"].tolist() == [file.format(clip) for clip in CLIPS]
    assert all((params.data.media / path).is_file() for path in table["path"])
    expected = [anger, 0, 0, 0.18, 0.003, anger + 0.183]
    assert table[[*CREMAD_TARGETS]].iloc[2].tolist() == pytest.approx(expected)
    assert table["group"].tolist() == [clip[:4] for clip in CLIPS]
    assert table.groupby("group")["split"].nunique().max() == 1
    assert set(table["split"]) == {"Train", "Val", "Test"}
    assert (table["age"].iloc[-1], table["sex"].iloc[-1]) == ("24", "Female")
    assert run("cremad", root, "--ratings", ratings, "--no-probe")["written"] == []


def test_what_a_half_finished_download_lacks_is_left_out_and_named(root, run):
    sound = root / "AudioWAV"
    (sound / f"{CLIPS[0]}.wav").write_text(POINTER)
    (sound / f"{CLIPS[1]}.wav").unlink()
    (sound / f"{CLIPS[2]}.wav").rename(sound / f"{CLIPS[2][:-1]}.wav")  # as one of the data set is
    shown = run("cremad", root, "--ratings", "voice", "--no-probe")
    assert shown["n_clips"] == len(CLIPS) - 2
    found = shown["by_kind"]["clips that are not downloaded"]
    assert found["items"] == CLIPS[:2]
    assert "git lfs pull --include AudioWAV" in found["what_was_done"]


def test_a_clone_without_media_names_the_command(root, run):
    for path in (root / "VideoFlash").iterdir():
        path.write_text(POINTER)
    (finding,) = run("cremad", root, "--no-probe", status=1)["findings"]
    assert (finding["severity"], finding["count"]) == ("error", len(CLIPS))
    assert "git lfs pull --include VideoFlash" in finding["what_was_done"]


def test_a_folder_or_a_table_of_another_kind_is_refused(root, run):
    table = root / "processedResults/tabulatedVotes.csv"
    table.write_text(table.read_text().replace("meanSadResp", "sad"))
    assert run("cremad", root, status=1)["by_kind"]["missing columns"]["items"] == ["meanSadResp"]
    shown = run("cremad", root / "AudioWAV", status=1)["by_kind"]
    assert "as in a clone of CREMA-D" in shown["folders of another layout"]["what_was_done"]
