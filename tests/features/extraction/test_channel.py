import os
import pickle
import signal
import threading
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from features.extraction.worker_process import Channel


@dataclass(frozen=True)
class _Part:
    name: str
    pictures: np.ndarray


@pytest.fixture
def ends():
    ours, theirs = Channel.pair()
    with closing(ours), closing(theirs):
        yield ours, theirs


def sent(message: object) -> object:
    """Send from a thread: a large message waits in the middle until it is read."""
    ours, theirs = Channel.pair()
    with closing(ours), closing(theirs):
        thread = threading.Thread(target=ours.send, args=[message])
        thread.start()
        received = theirs.recv()
        thread.join()
        return received


@settings(deadline=None)
@given(
    arrays(st.sampled_from(["u1", "f4", "f8", "?"]), array_shapes(min_dims=0, min_side=0)),
    st.booleans(),
)
def test_arrays_arrive_as_they_were_sent(array, transposed):
    array = array.T if transposed else array
    received = sent(("first", _Part("a", array), [array, 2]))
    assert received[0] == "first"
    assert received[1].name == "a"
    for got in (received[1].pictures, received[2][0]):
        assert got.dtype == array.dtype
        assert got.shape == array.shape
        assert got.tobytes() == array.tobytes()


def test_arrays_larger_than_any_buffer_arrive_and_may_be_written_to():
    array = np.random.default_rng(0).integers(0, 256, (32, 3, 224, 224), dtype=np.uint8)
    every_other = array[::2]
    received = sent([array, every_other])
    assert np.array_equal(received[0], array)
    assert np.array_equal(received[1], every_other)
    received[0][:] = 0


def test_messages_keep_their_order(ends):
    ours, theirs = ends
    for number in range(5):
        ours.send(number)
    theirs.send("back")
    assert [theirs.recv() for _ in range(5)] == list(range(5))
    assert ours.recv() == "back"


def test_an_end_that_was_closed_is_found(ends):
    ours, theirs = ends
    ours.send("last")
    ours.close()
    assert theirs.recv() == "last"
    with pytest.raises(EOFError):
        theirs.recv()
    with pytest.raises(ConnectionError):
        theirs.send("too late")


def test_a_process_killed_in_the_middle_of_a_message_is_found(ends):
    ours, theirs = ends
    process = os.fork()
    if process == 0:
        theirs.close()
        ours.send(np.zeros(1 << 24, np.uint8))  # fills the socket, and waits
        os._exit(0)
    ours.close()
    assert theirs._read(8)  # it has begun
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    with pytest.raises(EOFError):
        theirs._read(1 << 24)


def test_what_does_not_pickle_is_an_error_and_sends_nothing(ends):
    ours, theirs = ends
    with pytest.raises((pickle.PicklingError, AttributeError)):
        ours.send(lambda: None)
    ours.send("next")
    assert theirs.recv() == "next"
