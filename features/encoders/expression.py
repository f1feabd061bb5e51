"""Our own network of facial expressions, trained on FER+."""

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Literal

from features.encoders.pieces import Geometry, Preprocessing
from features.encoders.torch_encoder import TorchEncoder

if TYPE_CHECKING:
    import torch

    from features.encoders.checkpoint import State

EXPRESSIONS = (
    *("neutral", "happiness", "surprise", "sadness"),
    *("anger", "disgust", "fear", "contempt"),
)
"""The names of the shares, in order."""

SIZE_PX = 48
MEAN, STD = 0.5071, 0.2544
"""Of the grey values of FER+'s training pictures, white being 1."""

_WIDTH = 320
_N_ANSWERS = len(EXPRESSIONS) + 2  # voters could also say that they do not know, or see no face
_LUMA = (0.299, 0.587, 0.114)  # of red, green and blue, as PIL makes a picture grey


class ExpressionEncoder(TorchEncoder):
    """What a face shows: a vector, and the shares of voters who would call it each expression.

    The vector is the input of the last layer; the shares sum to 1 over `EXPRESSIONS`. Faces are
    cropped about as tightly as in FER+, on which it was trained (``files/expression.md``).
    """

    distribution = "timm"

    kind: Literal["expression"]
    model: Literal["efficientnet_lite0"] = "efficientnet_lite0"
    weights: str = "package://features/encoders/files/expression.safetensors"
    face: Literal["none", "yunet"] = "yunet"
    face_margin: float = 0.0  # the median box in FER+'s pictures is .94 of their height

    def picture_preprocessing(self) -> Preprocessing:
        """Return what the network was trained with; grey is made of the colours inside of it."""
        _ = self.preprocessing_tag  # that of another network is refused
        geometry = Geometry(size_px=(SIZE_PX, SIZE_PX))
        return Preprocessing(geometry=geometry, mean=(MEAN,) * 3, std=(STD,) * 3)

    def columns(self) -> dict[str, int]:
        """Name the two outputs, with their widths."""
        return {"vector": _WIDTH, "shares": len(EXPRESSIONS)}

    def build(self) -> "torch.nn.Module":
        """Build the network for pictures in colour, with both outputs beside each other."""
        import torch

        class VectorAndShares(torch.nn.Linear):
            def forward(self, vector: torch.Tensor) -> torch.Tensor:
                answers = super().forward(vector)
                return torch.cat([vector, answers[:, : len(EXPRESSIONS)].softmax(dim=1)], dim=1)

        network = build_network(n_channels=3)
        network.set_submodule("out", VectorAndShares(_WIDTH, _N_ANSWERS))
        return network

    def convert(self, state: "State", network: "torch.nn.Module") -> "State":  # noqa: ARG002
        """Let the first layer, trained on grey pictures, make grey of colours."""
        import torch

        luma = torch.tensor(_LUMA).view(1, 3, 1, 1)
        return {k: v.float() * luma if k == "stem.0.weight" else v for k, v in state.items()}


def build_network(
    n_channels: int = 1, drop_share: float = 0.2, drop_path_share: float = 0.1
) -> "torch.nn.Module":
    """Build EfficientNet-Lite0 for small pictures: its stem keeps their size, its head is short.

    Parameters
    ----------
    n_channels : int
        Of the pictures.
    drop_share, drop_path_share : float
        How much of the last vector, and of the blocks, is left out while it is trained.

    Returns
    -------
    torch.nn.Module
        From normalised faces (n, n_channels, 48, 48) to the logits (n, 10) of `EXPRESSIONS`,
        "unknown" and "no face". Its weights are random.
    """
    import timm
    from torch import nn

    body: Any = timm.create_model("tf_efficientnet_lite0", drop_path_rate=drop_path_share)
    first = nn.Conv2d(n_channels, 32, kernel_size=3, stride=1, padding=1, bias=False)
    pool = (nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(drop_share))
    stages = {
        "stem": nn.Sequential(first, body.bn1),
        "blocks": body.blocks,
        "pool": nn.Sequential(*pool),
        "out": nn.Linear(_WIDTH, _N_ANSWERS),
    }
    return nn.Sequential(OrderedDict(stages))
