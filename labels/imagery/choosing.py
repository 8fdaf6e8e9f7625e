"""Which two images of a place to show first."""

from labels import rules
from labels.imagery.scenes import DatedImage

SHARE_WORTH_SHOWING = 0.5


def default_pair(images: list[DatedImage], report_ends: str | None) -> list[int]:
    """Indexes of the latest image before the report's end and of the newest one; fewer than two where there are none.

    Images on which a pit shows, and that cover at least half of the disc, come before the others; of one day the one
    that covers more. `report_ends` is an ISO date.
    """
    pool = _worth_showing(images)
    dated = sorted(
        (index for index in pool if images[index]["captured_on"]),
        key=lambda index: (images[index]["captured_on"], images[index]["share_covered"]),
    )
    if not dated:
        return pool[:1]
    newest = dated[-1]
    before = [index for index in dated if report_ends and images[index]["captured_on"] <= report_ends]
    left = before[-1] if before else dated[0]
    if left == newest:
        earlier = [index for index in dated if images[index]["captured_on"] < images[newest]["captured_on"]]
        return [*earlier[-1:], newest]
    return [left, newest]


def _worth_showing(images: list[DatedImage]) -> list[int]:
    covering = [k for k, image in enumerate(images) if image["share_covered"] >= SHARE_WORTH_SHOWING]
    fine = [k for k in covering if images[k]["resolution_m"] <= rules.USEFUL_RESOLUTION_M]
    return fine or covering or list(range(len(images)))
