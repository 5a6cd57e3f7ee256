"""Markdown that nothing from the document can break: escaping, and tables within a budget of characters."""

from __future__ import annotations

import re

__all__ = ["Blocks", "escaped", "table_row"]

_CLIP = 240

_ENTITIES = {character: f"&#{ord(character)};" for character in "&<>|`[]\\*_~$^{}\"'"}
_BREAK = "\u200b"
_LIVE = re.compile(r"(?i)[@#!](?=\S)|:(?=//)|\bwww(?=\.)|\b(?:mailto|xmpp|gh-|javascript)(?=[:\d])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


def escaped(text: str, limit: int = _CLIP) -> str:
    """Make ``text`` inert in a table cell or paragraph: one line, no markup, no mention, no link.

    Character references cannot act as Markdown syntax (CommonMark 0.31, "Entity and numeric character
    references"), which backslashes do not guarantee inside tables. Mentions and bare addresses are recognised
    after parsing, so a zero-width space has to part them.
    """
    flat = " ".join(_CONTROL.sub(" ", text).split())
    if len(flat) > limit:
        flat = f"{flat[: limit - 1]}…"
    parted = _LIVE.sub(lambda match: f"{match.group()}{_BREAK}", flat)
    return "".join(_ENTITIES.get(character, character) for character in parted)


class Blocks:
    """Collects blocks until the room is used up, and counts the table rows that found none."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.blocks: list[str] = []
        self.left_out = 0

    def add(self, block: str) -> bool:
        """Append a whole block if it fits."""
        if len(block) + 2 > self.room:
            return False
        self.blocks.append(block)
        self.room -= len(block) + 2
        return True

    def table(self, heading: str, header: list[str], rows: list[list[str]], share: int) -> None:
        """Append a heading and as many rows as ``share`` characters of the remaining room allow."""
        lines = [heading, "", table_row(header), table_row(["---"] * len(header))]
        room = min(self.room - 2, share) - sum(len(line) + 1 for line in lines)
        kept = 0
        for cells in rows:
            line = table_row(cells)
            room -= len(line) + 1
            if room < 0:
                break
            lines.append(line)
            kept += 1
        self.left_out += len(rows) - kept
        if kept:
            self.add("\n".join(lines))


def table_row(cells: list[str]) -> str:
    """Give one line of a table."""
    return f"| {' | '.join(cells)} |"
