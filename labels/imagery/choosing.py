"""Which two images of a place to show first."""

from labels import rules
from labels.imagery.scenes import DatedImage

SHARE_WORTH_SHOWING = 0.5


def default_pair(images: list[DatedImage], report_ends: str | None) -> list[int]:
    """Indexes of the latest image before the report's end and of the newest one; fewer than two where there are none.

    Images on which a pit shows, and that cover at least half of the disc, come before the others, and among these a
    pair of our own before a provider's: it stays, and nobody is told which place is looked at. But a pair without an
    image later than the report cannot show that nothing was there: another one that has such an image goes before. Of
    one day the image of our own, then the one that covers more. `report_ends` is an ISO date.
    """
    pools = [sorted(pool, key=lambda index: _is_own(images[index]), reverse=True) for pool in _pools(images)]
    pairs = [pair for pool in pools if len(pair := _pair_of(images, pool, report_ends)) == 2]
    later = [pair for pair in pairs if any(_is_later(images[index], report_ends) for index in pair)]
    if pairs:
        return (later or pairs)[0]
    return next((pool[:1] for pool in pools if pool), [])


def _pair_of(images: list[DatedImage], pool: list[int], report_ends: str | None) -> list[int]:
    dated = sorted(
        (index for index in pool if images[index]["captured_on"]),
        key=lambda index: (images[index]["captured_on"], _is_own(images[index]), images[index]["share_covered"]),
    )
    if len(dated) < 2:
        return [*dated, *(index for index in pool if index not in dated)][:2]
    newest = dated[-1]
    before = [index for index in dated if report_ends and images[index]["captured_on"] <= report_ends]
    earliest = [index for index in dated if images[index]["captured_on"] == images[dated[0]]["captured_on"]]
    left = before[-1] if before else earliest[-1]
    if left == newest:
        earlier = [index for index in dated if images[index]["captured_on"] < images[newest]["captured_on"]]
        left = earlier[-1] if earlier else dated[-2]
    return [left, newest]


def _is_later(image: DatedImage, report_ends: str | None) -> bool:
    return bool(report_ends and image["captured_on"] and image["captured_on"] > report_ends)


def _is_own(image: DatedImage) -> bool:
    """A provider's dates have a key; scenes of ours are named by their day."""
    return not image.get("key")


def _pools(images: list[DatedImage]) -> list[list[int]]:
    """Indexes of the images to choose from, best first: the next pool where one holds no pair."""
    covering = [k for k, image in enumerate(images) if image["share_covered"] >= SHARE_WORTH_SHOWING]
    fine = [k for k in covering if (images[k]["resolution_m"] or 0) <= rules.USEFUL_RESOLUTION_M]
    own = [k for k in fine if _is_own(images[k])]
    return [own, fine, covering, list(range(len(images)))]
