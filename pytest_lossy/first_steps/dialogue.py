"""Questions to a person at a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pytest_lossy.errors import LossyError

__all__ = ["ask_choice", "ask_yes", "is_terminal"]


def is_terminal() -> bool:
    """Whether somebody can answer, and sees the question."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()


def ask_choice(question: str, answers: Sequence[str]) -> int:
    """Ask for one of several; Enter takes the first.

    Raises:
        LossyError: the input ended.
    """
    lines = [question, *(f"  {number}  {answer}" for number, answer in enumerate(answers, start=1))]
    while True:
        text = _answer("\n".join([*lines, f"[1-{len(answers)}, Enter for 1] "]))
        if not text:
            return 0
        if text.isdecimal() and 1 <= int(text) <= len(answers):
            return int(text) - 1
        matching = [index for index, answer in enumerate(answers) if answer.lower().startswith(text.lower())]
        if len(matching) == 1:
            return matching[0]
        lines = [f"'{text}' is none of them; answer with a number."]


def ask_yes(question: str) -> bool:
    """Ask for consent; Enter gives it.

    Raises:
        LossyError: the input ended.
    """
    while True:
        text = _answer(f"{question} [Y/n] ").lower()
        if text in ("", "y", "yes"):
            return True
        if text in ("n", "no"):
            return False


def _answer(prompt: str) -> str:
    try:
        return input(prompt).strip()
    except EOFError:
        raise LossyError(
            "the input ended before the last question; nothing was written. Use --yes to ask nothing"
        ) from None
