"""Which two images of a place are shown first."""

import pytest

from labels.imagery.choosing import default_pair


def image(captured_on: str | None, resolution_m: float | None = 2.4, share: float = 1.0, key: str = "") -> dict:
    return {"captured_on": captured_on, "resolution_m": resolution_m, "share_covered": share, "key": key}


PAIRS = {
    "the latest before the report, and the newest": (
        [image("2018-01-01"), image("2019-01-01"), image("2022-01-01"), image("2024-01-01")],
        "2021-06-30",
        [1, 3],
    ),
    "all are later: the earliest and the newest": ([image("2022-01-01"), image("2024-01-01")], "2021-06-30", [0, 1]),
    "all are earlier: the two latest": ([image(f"201{k}-01-01") for k in range(3)], "2021-06-30", [1, 2]),
    "the report has no date": ([image("2018-01-01"), image("2024-01-01")], None, [0, 1]),
    "a corner of the disc is not the place": (
        [image("2018-12-22", 9.5), image("2019-02-09", 2.4, 0.03), image("2023-12-28", 9.5)],
        "2021-06-30",
        [0, 2],
    ),
    "a pit shows on the finer one, though the coarse one is newer": (
        [image("2019-02-09"), image("2024-01-14"), image("2024-02-01", 9.5)],
        "2021-06-30",
        [0, 1],
    ),
    "the fine ones are all from before: the later one is coarse": (
        [image("2018-12-22", 9.5), image("2019-02-09"), image("2023-12-28", 9.5)],
        "2021-06-30",
        [1, 2],
    ),
    "two fine ones are from before: the only later one is coarse": (
        [image("2018-12-22"), image("2019-02-09"), image("2023-12-28", 9.5)],
        "2021-06-30",
        [1, 2],
    ),
    "two of our own are from before: the only later one is a provider's": (
        [image("2018-12-22"), image("2019-02-09"), image("2023-12-28", None, key="r1")],
        "2021-06-30",
        [1, 2],
    ),
    "of one day the one that covers more": (
        [image("2019-02-09"), image("2019-02-09", 1.2, 0.64), image("2024-01-14", 1.2, 0.64), image("2024-01-14")],
        "2021-06-30",
        [0, 3],
    ),
    "of one day our own, though a provider's covers more": (
        [
            image("2019-02-09", share=0.7),
            image("2019-02-09", key="r1"),
            image("2024-01-14", key="r2"),
            image("2024-01-14", share=0.6),
        ],
        "2021-06-30",
        [0, 3],
    ),
    "two dates of a provider, whose resolution is not known": (
        [image("2019-02-09", None, key="r1"), image("2024-01-14", None, key="r2")],
        "2021-06-30",
        [0, 1],
    ),
    "two dates of one provider and day": (
        [image("2024-01-14", key="r1"), image("2024-01-14", key="r2")],
        "2021-06-30",
        [0, 1],
    ),
    "undated: our own first": ([image(None, key="r1"), image(None)], "2021-06-30", [1, 0]),
    "one image": ([image("2024-01-14")], "2021-06-30", [0]),
    "one day only, two sources": ([image("2024-01-14", 1.2, 0.6), image("2024-01-14")], "2021-06-30", [0, 1]),
    "no date known": ([image(None), image(None)], "2021-06-30", [0, 1]),
    "an unknown date beside a known one": ([image("2024-01-14"), image(None)], "2021-06-30", [0, 1]),
    "nothing covers the place well": ([image("2019-02-09", 2.4, 0.1)], "2021-06-30", [0]),
    "no image": ([], "2021-06-30", []),
}


@pytest.mark.parametrize("case", PAIRS)
def test_the_pair(case):
    images, ends, expected = PAIRS[case]
    assert default_pair(images, ends) == expected
