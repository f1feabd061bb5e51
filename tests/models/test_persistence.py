"""Every kind of head goes through the one contract: bytes of predictions before and after."""

import io
from contextlib import suppress
from zipfile import ZipFile

import numpy as np
import pytest
import skops.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.heads import make_head
from models.persistence import PersistenceError, dumps, loads
from models.stack import fit_stack
from tests.models.small import ENTRIES, clips

TYPES_OF = ("models.heads.base", "builtins", "numpy")


def fitted_head(kind="elastic_net"):
    return make_head(ENTRIES[kind], 1, bands=(30, 10)).fit(*clips(60, 40, 0.2, gaps=True))


@pytest.mark.parametrize("kind", sorted(ENTRIES))
def test_predictions_stay_the_same_bytes(kind):
    head = fitted_head(kind)
    content = dumps(head)
    again = loads(content)
    new = np.random.default_rng(1).normal(size=(33, 40)).astype(np.float32)
    new[::4, 5:] = np.nan
    assert again.predict(new).tobytes() == head.predict(new).tobytes()
    assert type(again) is type(head)
    assert again.get_params() == head.get_params()
    assert dumps(again) == content
    if kind != "mean":
        assert head.predict(new).std(axis=0).min() > 0


def test_a_stack_too():
    members, y = np.random.default_rng(0).normal(size=(2, 80, 4, 3))
    stack = fit_stack(members, members[:, 0] + y[:, 0], np.arange(80) % 4)
    again = loads(dumps(stack))
    assert again.predict(members).tobytes() == stack.predict(members).tobytes()
    assert (again.method, again.share) == (stack.method, stack.share)


@pytest.mark.parametrize("value", [ZipFile, {1: io.BytesIO()}, print, {"a"}, np.random.normal])
def test_what_is_not_on_the_list_is_refused_by_name(value):
    head = fitted_head("mean")
    head.odd_ = [value]
    with pytest.raises(PersistenceError, match="MeanHead"):
        dumps(head)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        *((f'"{name}"', '"os"', r"the file holds a os\.") for name in TYPES_OF),
        ('"ObjectNode"', '"MethodNode"', "MethodNode"),
    ],
)
def test_a_file_can_neither_name_other_types_nor_call_methods(old, new, said):
    """Changes the text in a file that says what is made of what."""
    written = io.BytesIO(dumps(fitted_head("mean")))
    with ZipFile(written) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files["schema.json"] = files["schema.json"].replace(old.encode(), new.encode())
    with ZipFile(written, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    with pytest.raises(PersistenceError, match=said):
        loads(written.getvalue())


def test_something_else_than_a_head_is_refused():
    with pytest.raises(PersistenceError, match="holds a dict, no head"):
        loads(skops.io.dumps({"a": 1}))


@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_damage_is_refused_or_harmless(data):
    content = bytearray(dumps(fitted_head()))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content) - 1)))
    with suppress(PersistenceError):
        loads(bytes(content[:cut]))
