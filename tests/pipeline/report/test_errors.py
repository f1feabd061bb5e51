import numpy as np
import pytest

from pipeline.report.errors import (
    by_duration,
    error_table,
    mean_by_people,
    mean_over_targets,
    people_furthest_off,
    sizes_of_errors,
)


def test_the_interval_of_a_mean_takes_people_as_draws():
    values = np.repeat([0.0, 1.0, 2.0, 3.0], 50)
    alike = mean_by_people(values, np.repeat(list("abcd"), 50).astype(object))
    assert alike.mean == 1.5
    assert alike.low < 0 < 3 < alike.high  # four draws, not two hundred
    alone = mean_by_people(values, np.array(["a"] * 200, object))
    assert np.isnan(alone.low)
    assert mean_by_people(np.array([np.nan]), np.array(["a"], object)).n_clips == 0


def test_the_errors_of_a_target_are_in_units_of_its_labels():
    y = np.array([[1.0], [2.0], [np.nan], [3.0]])
    row = error_table(y, np.full((4, 1), 1.5), np.array(list("abcd"), object), ["joy"]).iloc[0]
    assert row["n_clips"] == 3
    assert row["bias"] == 0.5
    assert row["mean_absolute"] == pytest.approx(2.5 / 3)
    assert row["label_sd"] == pytest.approx(np.std([1, 2, 3]))
    assert row["prediction_sd"] == 0
    empty = error_table(y[:0], y[:0], np.array([], object), ["joy"]).iloc[0]
    assert empty["n_clips"] == 0
    assert np.isnan(empty["bias"])


def test_people_furthest_off_are_found():
    y = np.zeros((40, 2))
    y[7] = [5, 0.1]
    y[9] = np.nan
    people = np.repeat(np.arange(10).astype(str), 4).astype(object)
    error = mean_over_targets(y)
    assert np.isnan(error[9])
    named = people_furthest_off(error, people, 3)
    assert [len(named), named[0][0], named[0][1].n_clips] == [3, "1", 4]


def test_errors_are_sized_by_what_is_usual_for_their_target():
    y = np.array([[1.0, 10.0], [-1.0, np.nan], [np.nan, -10.0]])
    sizes = sizes_of_errors(y, np.zeros_like(y))
    assert np.allclose(sizes, np.abs(np.sign(y)), equal_nan=True)
    assert np.all(sizes_of_errors(np.ones((2, 1)), np.ones((2, 1))) == 0)


def test_durations_make_bands_unless_they_are_all_the_same():
    people = np.arange(60).astype(str).astype(object)
    duration_s = np.linspace(5, 12, 60)
    bands = by_duration(duration_s, duration_s, people)
    means = [estimate.mean for _, estimate in bands]
    assert len(bands) == 6
    assert means == sorted(means)
    assert sum(estimate.n_clips for _, estimate in bands) == 60
    assert by_duration(duration_s, np.full(60, 3.0), people) == []
