"""The files that take longest come first, so that no process of several is left with one at the end.

With `--no-loadscope-reorder` (./dev) a file is handed out in this order; a file that is not named comes after those.
"""

import pytest

LONGEST_FIRST = (
    "labels/test_demonstration_loading.py",
    "labels/test_real_doubts.py",
    "predictions/test_featurizing.py",
    "labels/test_killed_imports.py",
    "browser/test_panes.py",
    "browser/test_nothing_leaves.py",
    "labels/test_imagery_stages.py",
    "labels/test_demonstration_drawing.py",
    "labels/test_chips.py",
    "browser/test_tiles_close.py",
    "browser/test_review_loop.py",
    "browser/test_runs.py",
    "predictions/test_commands.py",
    "labels/test_area_versions.py",
    "labels/test_carrying_over.py",
    "labels/test_editions.py",
    "labels/test_role_walk.py",
    "labels/test_load_register.py",
    "labels/test_register_pages.py",
    "labels/test_hostile_registers.py",
    "labels/test_import_speed.py",
)
PLACE = {name: place for place, name in enumerate(LONGEST_FIRST)}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: PLACE.get(item.nodeid.split("::")[0].removeprefix("tests/"), len(PLACE)))
