import socket
import time
import uuid
from pathlib import Path
from typing import ClassVar

import pytest
from fsspec import register_implementation
from fsspec.implementations.memory import MemoryFileSystem

from features import places
from features.cache import EmbeddingCache, LostError
from features.places import PlaceError, open_place
from tests.features.stored import embedding, same

A = "a" * 64


class Shaky(MemoryFileSystem):
    """A store whose next answers are errors, or halves."""

    protocol = "shaky"
    faults: ClassVar[list[Exception | str]] = []

    def cat_file(self, *arguments, **options):
        return self._answer(super().cat_file, *arguments, **options)

    def pipe_file(self, *arguments, **options):
        return self._answer(super().pipe_file, *arguments, **options)

    def ls(self, *arguments, **options):
        return self._answer(super().ls, *arguments, **options)

    def _answer(self, method, *arguments, **options):
        fault = Shaky.faults.pop(0) if Shaky.faults else None
        if isinstance(fault, Exception):
            raise fault
        answer = method(*arguments, **options)
        return answer[: len(answer) // 2] if fault == "half" else answer

    def get_file(self, path, file, **options):
        Path(file).write_bytes(self.cat_file(path))


register_implementation("shaky", Shaky, clobber=True)
ERRORS = [RuntimeError("503 Slow Down"), TimeoutError("no answer"), OSError(5, "reset")]
ASK = {
    "put": lambda cache: cache.put(A, embedding()),
    "get": lambda cache: cache.get(A),
    "list": lambda cache: cache.known,
}


@pytest.fixture
def cache(monkeypatch) -> EmbeddingCache:
    monkeypatch.setattr(places, "_FIRST_PAUSE_S", 0)
    monkeypatch.setattr(Shaky, "faults", [])
    return EmbeddingCache(f"shaky://{uuid.uuid4().hex}", "one")


def test_a_store_that_fails_a_few_times_is_asked_again(cache):
    for ask in ASK.values():
        Shaky.faults = [*ERRORS, *ERRORS[:1]]
        ask(cache)
    Shaky.faults = [ERRORS[0], "half", ERRORS[2]]
    assert same(cache.get(A), embedding())
    assert cache.known == {A}


@pytest.mark.parametrize("ask", ASK.values(), ids=ASK)
def test_a_store_that_goes_on_failing_ends_in_a_clear_error(cache, ask):
    Shaky.faults = ERRORS[:1] * 99
    with pytest.raises(OSError, match=r"cannot be used \(RuntimeError: 503.*ERI_CACHE"):
        ask(cache)
    assert len(Shaky.faults) == 99 - places._N_TRIES


def test_half_an_object_is_never_taken_for_a_whole_one(cache):
    cache.put(A, embedding())
    Shaky.faults = ["half"] * places._N_TRIES
    with pytest.warns(UserWarning, match="is damaged"), pytest.raises(LostError, match="damaged"):
        cache.get(A)
    assert A not in cache.known
    cache.put(A, embedding(seed=1))
    assert same(cache.get(A), embedding(seed=1))


def test_what_cannot_be_opened_is_said_without_its_credentials():
    with pytest.raises(OSError, match=r"holds credentials.*environment") as caught:
        open_place("s3://AKIAKEY:secret@bucket/cache")
    assert "secret" not in str(caught.value)
    assert open_place(Path("memory://x/y"))[1] == "/x/y"  # a path is one slash short
    with pytest.raises(OSError, match=r"nowhere://x cannot be opened: .*nowhere"):
        open_place("nowhere://x")


def test_a_store_that_does_not_answer_is_given_up(bucket, monkeypatch):
    for name, value in {"_FIRST_PAUSE_S": 0, "_N_TRIES": 2, "_LIMIT_S": 1}.items():
        monkeypatch.setattr(places, name, value)
    with socket.create_server(("127.0.0.1", 0)) as server:  # it takes connections, and is silent
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        began_s = time.monotonic()
        with pytest.raises(PlaceError, match=r"cannot be used \(.*no answer within 1 s\).*ERI_CA"):
            EmbeddingCache("s3://elsewhere/cache", "one", {})
        assert time.monotonic() - began_s < 20
