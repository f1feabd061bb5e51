"""What the service counts, for Prometheus."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

_SECONDS = (0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300)


class Metrics:
    """The numbers of one service.

    Attributes
    ----------
    answers : Counter
        Answers to uploads, by HTTP status.
    receiving_s, predicting_s : Histogram
        How long uploads took to come in, and how long predictions ran.
    received_bytes : Counter
        Bytes of clips that came in whole.
    places_taken : Gauge
        Uploads that are being received, wait, or are predicted.
    """

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.answers = Counter(
            "eri_answers", "Answers to uploads by HTTP status.", ["status"], registry=registry
        )
        self.receiving_s = Histogram(
            "eri_receiving_seconds",
            "Time an upload took to come in.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.predicting_s = Histogram(
            "eri_predicting_seconds",
            "Time a prediction ran.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.received_bytes = Counter(
            "eri_received_bytes", "Bytes of clips that came in whole.", registry=registry
        )
        self.places_taken = Gauge(
            "eri_places_taken", "Uploads received, waiting or predicted.", registry=registry
        )

    def text(self) -> bytes:
        """Return all numbers in Prometheus' text format."""
        return generate_latest(self._registry)
