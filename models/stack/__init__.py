"""A stack over (head, view) pairs that has to earn its weights against an average."""

from models.stack.stack import Stack, fit_stack, stack_oof

__all__ = ["Stack", "fit_stack", "stack_oof"]
