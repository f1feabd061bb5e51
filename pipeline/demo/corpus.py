"""Write the demo corpus: clips and their label table."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from tqdm import tqdm

from pipeline.demo.clip import ClipPlan, write_clip
from pipeline.demo.intensities import check_targets, draw_intensities
from pipeline.demo.people import draw_people
from pipeline.demo.settings import DemoSettings

_SPLIT_SHARES = {"Train": 0.6, "Val": 0.27, "Test": 0.13}


def write_corpus(dest: Path, settings: DemoSettings, targets: Sequence[str]) -> None:
    """Write `dest/clips/<clip_id>.mp4` and `dest/labels.csv`.

    The table has the columns clip_id, path (relative to `dest`), split, group (the person), the
    targets, age and country. The targets of Test clips are blank, as in Hume-Reaction. One Train
    clip has no audio stream; in another the person has left the picture.

    Parameters
    ----------
    targets
        Names of the seven target columns, in the order of `intensities.RULES`.

    Raises
    ------
    ValueError
        If there are not seven different targets.
    """
    check_targets(targets)
    plans, splits = plan_corpus(settings)
    clips = dest / "clips"
    clips.mkdir(parents=True, exist_ok=True)
    jobs = (joblib.delayed(write_clip)(plan, clips / f"{plan.clip_id}.mp4") for plan in plans)
    done = joblib.Parallel(n_jobs=joblib.cpu_count(), return_as="generator_unordered")(jobs)
    for _ in tqdm(done, total=len(plans), desc="demo clips", unit="clip"):
        pass
    beside = dest / "labels.part.csv"
    _label_table(plans, splits, targets).to_csv(beside, index=False)
    beside.replace(dest / "labels.csv")


def plan_corpus(settings: DemoSettings) -> tuple[list[ClipPlan], list[str]]:
    """Decide every clip and its split before anything is drawn."""
    rng = np.random.default_rng(settings.seed)
    people = draw_people(settings.n_people, rng)
    split_of_person = _split_people(settings.n_people, rng)
    n_clips = settings.n_people * settings.clips_per_person
    labels = draw_intensities(n_clips, rng)
    durations_s = rng.uniform(settings.min_duration_s, settings.max_duration_s, size=n_clips)
    plans = [
        ClipPlan(
            clip_id=f"{index:05d}",
            person=people[index // settings.clips_per_person],
            labels=labels[index],
            n_frames=round(durations_s[index] * settings.frame_rate_hz),
            frame_rate_hz=settings.frame_rate_hz,
            image_size_px=settings.image_size_px,
            seed=(settings.seed, index),
        )
        for index in range(n_clips)
    ]
    splits = [split_of_person[index // settings.clips_per_person] for index in range(n_clips)]
    train = [index for index, split in enumerate(splits) if split == "Train"]
    silent, empty = train[len(train) // 3], train[2 * len(train) // 3]
    plans[silent] = replace(plans[silent], has_sound=False)
    plans[empty] = replace(plans[empty], has_face=False)
    return plans, splits


def _split_people(n_people: int, rng: np.random.Generator) -> list[str]:
    n_train = round(_SPLIT_SHARES["Train"] * n_people)
    n_val = round(_SPLIT_SHARES["Val"] * n_people)
    splits = ["Train"] * n_train + ["Val"] * n_val + ["Test"] * (n_people - n_train - n_val)
    return [splits[index] for index in rng.permutation(n_people)]


def _label_table(
    plans: Sequence[ClipPlan], splits: Sequence[str], targets: Sequence[str]
) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "clip_id": [plan.clip_id for plan in plans],
            "path": [f"clips/{plan.clip_id}.mp4" for plan in plans],
            "split": splits,
            "group": [plan.person.person_id for plan in plans],
        }
    )
    labels = np.stack([plan.labels for plan in plans])
    labels[np.array(splits) == "Test"] = np.nan
    table[list(targets)] = labels
    table["age"] = [plan.person.age for plan in plans]
    table["country"] = [plan.person.country for plan in plans]
    return table
