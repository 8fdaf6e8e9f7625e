"""What looks wrong in a register: each doubt a code, a sentence, a count, a list. None alters what was published."""

from labels.flags.asking import (
    can_tell_outside,
    flag_counts,
    flags_of,
    split_of_region_unlike,
    unknown_regions,
)
from labels.flags.making import flag_records, preview_flags

__all__ = [
    "can_tell_outside",
    "flag_counts",
    "flag_records",
    "flags_of",
    "preview_flags",
    "split_of_region_unlike",
    "unknown_regions",
]
