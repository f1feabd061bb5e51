"""Every kind of head goes through the one contract: bytes of predictions before and after."""

import io
import json
from contextlib import suppress
from zipfile import ZipFile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.heads import make_head
from models.persistence import PersistenceError, dumps, loads
from models.stack import fit_stack
from tests.models.small import ENTRIES, clips


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
    rng = np.random.default_rng(0)
    y = rng.normal(size=(80, 3))
    members = y[:, None] + rng.normal(size=(80, 4, 3))
    stack = fit_stack(members, y, np.arange(80) % 4)
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
        ('"models.heads.base"', '"os"', r"the file holds a os\."),
        ('"builtins"', '"os"', r"the file holds a os\."),
        ('"numpy"', '"os"', r"the file holds a os\."),
        ('"ObjectNode"', '"MethodNode"', "MethodNode"),
    ],
)
def test_a_file_can_neither_name_other_types_nor_call_methods(old, new, said):
    content = rewritten(dumps(fitted_head("mean")), lambda text: text.replace(old, new))
    with pytest.raises(PersistenceError, match=said):
        loads(content)


def test_something_else_than_a_head_is_refused():
    import skops.io

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


def rewritten(content, change):
    """Change the text in a file that says what is made of what."""
    with ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    text = change(files["schema.json"].decode())
    assert json.loads(text)
    files["schema.json"] = text.encode()
    written = io.BytesIO()
    with ZipFile(written, "w") as copy:
        for name, each in files.items():
            copy.writestr(name, each)
    return written.getvalue()
