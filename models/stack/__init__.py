"""A stack over (head, view) pairs that has to earn its weights against the plain average.

`fit_stack` and `stack_oof` are the ways in. `methods` holds the ways of combining members,
`choice` decides between them, `folded` holds the sums per fold that both work on.
"""

from models.stack.stack import Stack, fit_stack, stack_oof

__all__ = ["Stack", "fit_stack", "stack_oof"]
