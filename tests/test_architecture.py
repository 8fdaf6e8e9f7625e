"""The arrows of the house: who may import whom."""

import ast
from pathlib import Path

import pytest

from labels import access

ROOT = Path(__file__).resolve().parent.parent
PURE = [
    "labels/geo.py",
    "labels/geodesic.py",
    "labels/intervals.py",
    "labels/reliability.py",
    "labels/displacement.py",
    "labels/agreement.py",
    "labels/rules.py",
    "labels/local_plane.py",
    "predictions/features.py",
    "predictions/features_blocked.py",
    "predictions/features_compiled.py",
    "predictions/features_filters.py",
    "predictions/features_vectors.py",
    "predictions/metrics.py",
    "predictions/ranking.py",
    "predictions/bootstrap.py",
    "predictions/quantities.py",
    "predictions/blocks.py",
    "predictions/validation.py",
    "predictions/baselines.py",
    "predictions/curves.py",
    "predictions/strata.py",
    "predictions/applicability.py",
    "predictions/intensity.py",
    "predictions/readers.py",
    "predictions/shrinking.py",
    "predictions/gains.py",
    "predictions/simulation.py",
    "predictions/rasters.py",
    "predictions/classifier.py",
    "predictions/decomposition.py",
    "predictions/leave_out.py",
    "predictions/penalty.py",
    "predictions/calibration.py",
    "predictions/fitting.py",
    "predictions/judging.py",
    *(
        str(path.relative_to(ROOT))
        for path in (ROOT / "labels/demonstration").glob("*.py")
        if not path.stem.startswith("loading")
    ),
]


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def test_labels_never_knows_predictions():
    wrong = [path for path in sources("labels") if any(within(name, "predictions") for name in imports(path))]
    assert wrong == []


def test_the_reader_of_imports_sees_a_wrong_arrow(tmp_path):
    wrong = tmp_path / "wrong.py"
    wrong.write_text("from predictions import models\n")
    assert any(within(name, "predictions") for name in imports(wrong))


def test_nothing_but_addresses_imports_views():
    wiring = {"urls.py", "urls_accounts.py"}
    for path in sources("labels") + sources("predictions"):
        if path.name in wiring or "views" in path.parts:
            continue
        assert not any(within(name, "labels.views") for name in imports(path)), path


@pytest.mark.parametrize("path", PURE)
def test_pure_modules_know_no_django(path):
    assert not any(within(name, other) for name in imports(ROOT / path) for other in ("django", "celery"))


def test_models_know_nothing_above_them():
    above = ("labels.workflow", "labels.views", "labels.api", "labels.jobs", "labels.access", "labels.reports")
    for path in sources("labels/models"):
        assert not any(within(name, other) for name in imports(path) for other in above), path


def test_three_files_touch_the_map_library():
    """One for judging imagery, one for records on a map of areas, one for the map of a training run."""
    users = {path.name for path in (ROOT / "static/js").glob("*.js") if "window.L" in path.read_text()}
    assert users == {"paired-maps.js", "records-map.js", "run-map.js"}


def test_pages_build_no_html_from_strings():
    for path in (ROOT / "static/js").glob("*.js"):
        text = path.read_text()
        assert not any(word in text for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "eval(")), path.name


def test_the_documented_roles_are_the_real_ones():
    rows = [
        line.split("|")[1:3] for line in (ROOT / "docs/security.md").read_text().splitlines() if line.startswith("| ")
    ]
    told = {action.strip(): role.strip() for action, role in rows if action.strip() in access.ACTIONS}
    assert told == {action: str(role) for action, role in access.ACTIONS.items()}


def test_the_documented_keys_are_on_the_page():
    page = (ROOT / "templates/labels/review.html").read_text()
    for key in ("D", "F", "J", "K", "Ctrl Z", "N", "A", "S", "R", "Space"):
        assert f'<kbd class="key">{key}</kbd>' in page or f'<kbd class="key big">{key}</kbd>' in page, key
