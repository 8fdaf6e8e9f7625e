"""A figure of a run as people read it: never without its n and its interval, or else with the reason it has none."""

from collections.abc import Mapping
from dataclasses import dataclass

from labels.reliability import SMALL_SAMPLE
from labels.report_words import NO_BREAK, number
from predictions.run_words import reason_words

NONE = "–"


@dataclass(frozen=True)
class Quantity:
    value: float | None  # None where it is undefined
    low: float | None  # 95 % interval
    high: float | None
    n: int  # what it was computed from
    reason: str = ""  # why it is undefined or without an interval, in words

    @classmethod
    def of(cls, stored: Mapping | None) -> "Quantity":
        """From a run's figures; absent ones are undefined."""
        if not stored:
            return cls(None, None, None, 0, reason_words(""))
        value, low, high = (stored.get(name) for name in ("value", "low", "high"))
        reason = stored.get("reason", "")
        is_told = bool(reason) or None in (value, low, high)
        return cls(value, low, high, int(stored.get("n") or 0), reason_words(reason) if is_told else "")

    @property
    def is_defined(self) -> bool:
        """Whether it may be shown: a value without an interval is not, and `reason` says what is missing."""
        return None not in (self.value, self.low, self.high)

    @property
    def is_small(self) -> bool:
        return self.n < SMALL_SAMPLE

    # ---- in words ----

    @property
    def plain(self) -> str:
        return plain(self.value, self._plain_digits) if self.is_defined else NONE

    @property
    def plain_interval(self) -> str:
        if not self.is_defined:
            return ""
        return between(plain(self.low, self._plain_digits), plain(self.high, self._plain_digits))

    @property
    def _plain_digits(self) -> int:
        """A limit just above 0 must not read as 0: whether an interval holds zero is what is claimed of gains."""
        return 3 if any(each and abs(each) < 0.005 for each in (self.value, self.low, self.high)) else 2

    @property
    def percent(self) -> str:
        return _percent(self.value, self._digits) + NO_BREAK + "%" if self.is_defined else NONE

    @property
    def percent_interval(self) -> str:
        return f"{_percent(self.low, self._digits)}–{_percent(self.high, self._digits)}" if self.is_defined else ""

    @property
    def _digits(self) -> int:
        """Of percentages: below a tenth, where prevalences lie, and next to all, with a decimal."""
        return 1 if self.value is not None and (0 < self.value < 0.0995 or 0.99 < self.value < 1) else 0


def _percent(share: float, digits: int) -> str:
    return number(share * 100, digits)


def plain(value: float | None, digits: int = 2) -> str:
    return NONE if value is None else number(value, digits).replace("-", "−")


def between(low: str, high: str) -> str:
    """Two limits; beside a minus a dash would be misread."""
    return f"{low} … {high}" if "−" in low + high else f"{low}–{high}"
