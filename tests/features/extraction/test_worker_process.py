import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from features.extraction.reading import Pieces
from features.extraction.worker_process import receive, send


@settings(deadline=None)
@given(
    arrays(st.sampled_from(["u1", "f4", "f8", "?"]), array_shapes(min_dims=0, min_side=0)),
    st.booleans(),
)
def test_messages_arrive_in_order_and_arrays_as_they_were(array, transposed):
    array = array.T if transposed else array
    part = Pieces(("x",), np.zeros(array.shape[:1]), array) if array.ndim else array
    ours, theirs = socket.socketpair()
    with ours, theirs, ThreadPoolExecutor(1) as pool:  # a large one waits until it is read
        pool.map(partial(send, ours), ["first", ("second", part, [array, 2])])
        assert receive(theirs) == "first"
        name, got_part, others = receive(theirs)
    assert name == "second"
    for got in (getattr(got_part, "values", got_part), others[0]):
        assert (got.dtype, got.shape, got.tobytes()) == (array.dtype, array.shape, array.tobytes())
        assert got.flags.writeable
