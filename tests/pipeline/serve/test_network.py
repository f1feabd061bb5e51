"""A service on a port: what needs real connections."""

import socket
import time
from dataclasses import replace

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from pipeline.serve.app import create_app
from tests.pipeline.serve.conftest import LIMITS, left, listening, n_uploads, until

HEAD = (
    "POST /predict HTTP/1.1\r\nHost: localhost\r\n"
    "Content-Type: multipart/form-data; boundary=XX\r\n"
)
PART = b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'


@pytest.fixture(scope="module")
def _address(predictor, _watched):
    limits = replace(LIMITS, receive_s=1.5, waiting=8)
    with listening(create_app(predictor, limits)) as address:
        yield address


@pytest.fixture
def address(_address, disk):
    """Where the service listens; at the end of a test all of its places are free."""
    yield _address
    until(lambda: n_uploads(lambda path: httpx.get(url(_address, path))) == 0)


def url(address, path):
    host, port = address
    return f"http://{host}:{port}{path}"


def test_an_upload_without_end_is_cut_off(address):
    with socket.create_connection(address) as connection:
        connection.sendall(HEAD.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
        connection.sendall(f"{len(PART):x}\r\n".encode() + PART + b"\r\n")
        with pytest.raises(OSError, match=r"reset|[Bb]roken pipe"):
            connection.sendall((b"10000\r\n" + b"x" * 65536 + b"\r\n") * 1000)


def test_a_slow_upload_is_cut_off(address):
    with socket.create_connection(address, timeout=120) as connection:
        connection.sendall(HEAD.encode() + b"Content-Length: 100000\r\n\r\n" + PART)
        for _ in range(10):
            connection.sendall(b"x")
            time.sleep(0.1)
        assert connection.recv(65536).startswith(b"HTTP/1.1 408")


def test_an_upload_whose_connection_ends_leaves_nothing(address, disk):
    with socket.create_connection(address) as connection:
        connection.sendall(HEAD.encode() + b"Content-Length: 100000\r\n\r\n" + PART + b"x" * 5000)
        until(lambda: n_uploads(lambda path: httpx.get(url(address, path))) == 1)
    until(lambda: n_uploads(lambda path: httpx.get(url(address, path))) == 0)
    assert left(disk) == []


@pytest.mark.parametrize(
    ("operation", "mode"),
    [
        ("POST /predict", GenerationMode.POSITIVE),
        ("POST /predict", GenerationMode.NEGATIVE),
        ("GET /health", GenerationMode.POSITIVE),  # nothing about it can be wrong
    ],
)
def test_whatever_is_asked_the_answer_is_as_described(address, operation, mode):
    method, path = operation.split()
    api = schemathesis.openapi.from_url(url(address, "/openapi.json"))

    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
    @given(api[path][method].as_strategy(generation_mode=mode))
    def ask(case):
        response = case.call(timeout=120)
        assert response.status_code < 500
        # Bytes that the schema allows need not be a clip: 422 is as described.
        case.validate_response(response, excluded_checks=[positive_data_acceptance])

    ask()
