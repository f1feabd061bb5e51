"""Losses of the networks: squared error, Pearson correlation and concordance, with gaps in labels.

All work along the last axis, over the labelled rows of each target, and give one number per
network.
"""

from typing import Literal, get_args

from torch import Tensor

Loss = Literal["mse", "pearson", "ccc"]

CONSTANT_VARIANCE = 1e-9
"""Labels, standardised, that vary less than this are constant."""
PEARSON_SMOOTHING = 0.01
"""Added to the variance of predictions, so that the loss is smooth where they are constant."""


def loss_of(kind: Loss, predicted: Tensor, labels: Tensor, known: Tensor) -> Tensor:
    """Return the loss of every network.

    Parameters
    ----------
    kind : {"mse", "pearson", "ccc"}
        ``mse``: the mean squared error, in which each label counts once. ``pearson``: the mean over
        targets of 1 - r, r the Pearson correlation; it leaves scale and offset free. ``ccc``: the
        same with the concordance correlation coefficient, which holds predictions to the scale and
        offset of the labels too.
    predicted, labels : Tensor [..., n_targets, n_rows]
        Standardised; labels are finite also where they are unknown.
    known : Tensor [..., n_targets, n_rows]
        1 where a row is labelled, 0 where it is not.

    Returns
    -------
    Tensor [...]
        A target that is not `usable` adds nothing, and the loss is 0 when none is.

    Raises
    ------
    ValueError
        When the kind is unknown.

    References
    ----------
    Lin, L. I. (1989). A concordance correlation coefficient to evaluate reproducibility.
    Biometrics 45, 255-268.
    """
    if kind not in get_args(Loss):
        raise ValueError(f"loss is {kind!r}; expected one of {', '.join(get_args(Loss))}.")
    if kind == "mse":
        squares = (predicted - labels).square() * known
        return squares.sum(dim=(-2, -1)) / known.sum(dim=(-2, -1)).clamp(min=1)
    mean, centred = _centre(predicted, known)
    label_mean, label_centred = _centre(labels, known)
    n_known = known.sum(dim=-1).clamp(min=1)
    variance = centred.square().sum(dim=-1) / n_known
    label_variance = label_centred.square().sum(dim=-1) / n_known
    covariance = (centred * label_centred).sum(dim=-1) / n_known
    if kind == "pearson":
        squared_size = (variance + PEARSON_SMOOTHING) * label_variance
        agreement = covariance / squared_size.clamp(min=CONSTANT_VARIANCE**2).sqrt()
    else:
        size = variance + label_variance + (mean - label_mean).square()
        agreement = 2 * covariance / size.clamp(min=CONSTANT_VARIANCE)
    used = usable(kind, labels, known)
    return ((1 - agreement) * used).sum(dim=-1) / used.sum(dim=-1).clamp(min=1)


def usable(kind: Loss, labels: Tensor, known: Tensor) -> Tensor:
    """Tell which targets have a loss: any label for ``mse``, else two or more that differ.

    Parameters
    ----------
    kind : {"mse", "pearson", "ccc"}
    labels, known : Tensor [..., n_targets, n_rows]
        As in `loss_of`.

    Returns
    -------
    Tensor of bool [..., n_targets]
    """
    n_known = known.sum(dim=-1)
    if kind == "mse":
        return n_known > 0
    spread = _centre(labels, known)[1].square().sum(dim=-1)
    return spread > CONSTANT_VARIANCE * n_known


def _centre(values: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Return the means over known entries [...], and deviations from them, 0 where unknown."""
    mean = (values * known).sum(dim=-1) / known.sum(dim=-1).clamp(min=1)
    return mean, (values - mean.unsqueeze(-1)) * known
