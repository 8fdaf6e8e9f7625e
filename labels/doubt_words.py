"""What flags are called on pages: the words of labels.flags, in its order."""

from collections.abc import Mapping

try:
    from labels.flags import codes as catalogue
except ImportError:  # the flags come by themselves
    catalogue = None

# Of the flag `region_unlike`: how a record comes to state another region than it lies in.
REGION_UNLIKE, REGION_UNKNOWN = "region_unlike", "region_unknown"
SPLITS = ("swapped_columns", "near_border", "further")


def label_of(code: str) -> str:
    return catalogue.label_of(code) if catalogue else code.replace("_", " ")


def split_label(split: str) -> str:
    return str(catalogue.SPLITS[split]) if catalogue else split.replace("_", " ")


def meaning_of(code: str) -> str:
    """One sentence on what the flag means of any record; empty for a code of nobody's."""
    return str(catalogue.BY_CODE[code].meaning) if catalogue and code in catalogue.BY_CODE else ""


def sentence(code: str, detail: Mapping) -> str:
    """What the flag says of one record."""
    if catalogue and code in catalogue.BY_CODE:
        return catalogue.BY_CODE[code].sentence(detail)
    return label_of(code)


def in_order(codes: list[str]) -> list[str]:
    """The codes in the order in which pages list them."""
    order = {code: place for place, code in enumerate(catalogue.CODES)} if catalogue else {}
    return sorted(codes, key=lambda code: (order.get(code, len(order)), code))
