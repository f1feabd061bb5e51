"""Stage `network`: write the demo's stand-in for a network of facial expressions."""

from pipeline.demo.network import write_expression_network
from pipeline.errors import run_or_exit
from pipeline.params import load_params
from pipeline.paths import DEMO_NETWORK


def main() -> None:
    """Write ``data/networks/expression.onnx``."""
    params = load_params(check_heads=False)
    write_expression_network(DEMO_NETWORK, params.demo.seed)


if __name__ == "__main__":
    run_or_exit(main)
