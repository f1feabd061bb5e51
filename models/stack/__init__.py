"""A stack over (head, view) pairs that has to earn its weights against the plain average.

`fit_stack` and `stack_oof` are the ways in (`stack`). `weights` decides how much of fitted weights
to take, `folded` holds the sums per fold that they are fitted on.
"""

from models.stack.stack import Stack, fit_stack, stack_oof

__all__ = ["Stack", "fit_stack", "stack_oof"]
