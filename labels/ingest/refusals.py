"""A row, or a shape, that is not taken in, and why."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    column: str
    value: str
    # A clause without a full stop, in words a person at a ministry understands.
    reason: str


class RowRefused(Exception):
    """Raised while a row is read; the loader notes it and goes on with the next row."""

    def __init__(self, refusal: Refusal):
        super().__init__(refusal.reason)
        self.refusal = refusal


def refuse(column: str, value: object, reason: str) -> RowRefused:
    return RowRefused(Refusal(column, str(value)[:200], reason))
