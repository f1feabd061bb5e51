import os
import signal
import threading
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
    yield ours, theirs
    ours.close()
    theirs.close()


def sent(*messages: object) -> list:
    """Send from a thread: a large message waits in the middle until it is read."""
    ours, theirs = Channel.pair()
    thread = threading.Thread(target=lambda: [ours.send(message) for message in messages])
    thread.start()
    received = [theirs.recv() for _ in messages]
    thread.join()
    ours.close()
    theirs.close()
    return received


@settings(deadline=None)
@given(
    arrays(st.sampled_from(["u1", "f4", "f8", "?"]), array_shapes(min_dims=0, min_side=0)),
    st.booleans(),
)
def test_messages_arrive_in_order_and_arrays_as_they_were(array, transposed):
    array = array.T if transposed else array
    first, (name, part, others) = sent("first", ("second", _Part("a", array), [array, 2]))
    assert (first, name, part.name) == ("first", "second", "a")
    for got in (part.pictures, others[0]):
        assert got.dtype == array.dtype
        assert got.shape == array.shape
        assert got.tobytes() == array.tobytes()


def test_arrays_larger_than_any_buffer_arrive_and_may_be_written_to():
    array = np.random.default_rng(0).integers(0, 256, (32, 3, 224, 224), dtype=np.uint8)
    whole, every_other = sent(array, array[::2])
    assert np.array_equal(whole, array)
    assert np.array_equal(every_other, array[::2])
    whole[:] = 0


def test_an_end_that_was_closed_is_found(ends):
    ours, theirs = ends
    ours.send("last")
    ours.close()
    assert theirs.wait(0)
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
    assert theirs.wait(60)  # it has begun
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    with pytest.raises(EOFError):
        theirs.recv()
