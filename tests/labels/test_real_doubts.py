"""The doubts of the real files: each damage that was done to the messy register, and what the IPIS visits hold."""

import csv
from collections import Counter, defaultdict
from io import StringIO

import pytest
from django.core.management import call_command

from labels import duplicates, flags, geodesic
from labels.ingest.readers import CopyLines, open_rows
from labels.ingest.staging import Staging
from labels.models import DuplicatePair, Observation, RecordFlag, RefusedRow, Register

pytestmark = pytest.mark.django_db

MESSY = "derived_messy_registre_cp1252.csv"
OUTCOMES = ("right", "flagged", "refused", "without a position", "wrong")


def load(path, slug: str, *options: str) -> Register:
    said = {"stdout": StringIO(), "stderr": StringIO()}
    where = ("--project", "congo", "--country", "COD")
    call_command("load_register", str(path), *where, "--register", slug, *options, **said)
    return Register.objects.get(slug=slug)


def load_provinces(shared_data) -> None:
    said = {"stdout": StringIO(), "stderr": StringIO()}
    provinces = shared_data / "boundaries" / "ne_adm1_cod.geojson"
    call_command("load_areas", str(provinces), "--project", "congo", "--kind", "admin", **said)


@pytest.fixture
def messy(shared_data):
    path = shared_data / "asm_records" / MESSY
    register = load(path, "messy", "--map", "source_id=Code site")
    load_provinces(shared_data)
    flags.flag_records(register=register)
    duplicates.find_duplicates(register=register)
    return register


@pytest.fixture
def truth(shared_data) -> dict[int, dict]:
    """Row of the file -> what was done to it, and where it truly lies."""
    with (shared_data / "asm_records" / "derived_messy_registre_truth.csv").open() as file:
        return {int(row["row"]) + 1: row for row in csv.DictReader(file)}


def flags_of_rows(register: Register) -> dict[int, set[str]]:
    """Row -> codes of its record. Where rows share a record, each has the record's."""
    codes = defaultdict(set)
    for record, code in RecordFlag.objects.filter(register=register).values_list("site_record", "code"):
        codes[record].add(code)
    rows = Observation.objects.filter(site_record__register=register).values_list("file_row", "site_record")
    return {row: codes[record] for row, record in rows}


# What raises a doubt about the position itself; a name that no area has is a doubt about the name.
OF_POSITION = {"outside_country", "axes_swapped", "sign_lost", "minutes_as_decimals", "zero_position"}


def by_damage(register: Register, truth: dict[int, dict]) -> dict[str, Counter]:
    """Kind of damage -> how many rows came out how: right within 5 m (doubted or not), else doubted, refused, wrong."""
    doubts = flags_of_rows(register)
    refused = set(RefusedRow.objects.filter(edition__register=register).values_list("file_row", flat=True))
    points = dict(Observation.objects.filter(site_record__register=register).values_list("file_row", "point"))
    table: dict[str, Counter] = defaultdict(Counter)
    for row, true in truth.items():
        table[true["kind"]][_outcome(true, row in refused, points.get(row), doubts.get(row, set()))] += 1
    return table


def _outcome(true: dict, is_refused: bool, point, doubts: set[str]) -> str:
    if is_refused:
        return "refused"
    if point is not None and _off_m(true, point) <= 5:
        return "right"
    if doubts & OF_POSITION:
        return "flagged"
    return "without a position" if point is None else "wrong"


def _off_m(true: dict, point) -> float:
    return float(geodesic.inverse(point.x, point.y, float(true["true_lon"]), float(true["true_lat"]))[0])


def printed(table: dict[str, Counter]) -> str:
    lines = [f"{'damage':16}" + "".join(f"{outcome:>20}" for outcome in OUTCOMES)]
    for kind in sorted(table):
        lines.append(f"{kind:16}" + "".join(f"{table[kind][outcome]:20}" for outcome in OUTCOMES))
    return "\n".join(lines)


def test_every_damage_is_read_right_doubted_or_refused(messy, truth):
    table = by_damage(messy, truth)
    print(printed(table))
    assert {kind: dict(counts) for kind, counts in table.items()} == {
        "decimal": {"right": 89},
        "dms0": {"right": 31},
        "dms1": {"right": 19},
        "dms2": {"right": 17},
        "ddm": {"right": 16},
        "comma": {"right": 30},
        "dup": {"right": 15},
        "swapped": {"flagged": 21},
        "sign_lost": {"flagged": 11, "right": 3},  # three lie north of the equator: nothing was lost
        "zero": {"flagged": 5},
        "blank": {"without a position": 18},
        "utm35s": {"refused": 19},
        "fr_header_text": {"refused": 6},
    }
    doubts = flags_of_rows(messy)
    sound = {row for row, true in truth.items() if true["kind"] not in ("swapped", "sign_lost", "zero")}
    doubted = {row: doubts[row] & OF_POSITION for row in sound if doubts.get(row, set()) & OF_POSITION}
    # Two sites that truly lie elsewhere than stated: past the border as drawn, and 14 km from the stated province.
    assert sorted(doubted.values(), key=str) == [{"minutes_as_decimals"}, {"outside_country"}]


def test_swapped_rows_and_lost_signs_are_flagged_and_not_moved(messy, truth):
    doubts = flags_of_rows(messy)
    swapped = {row for row, true in truth.items() if true["kind"] == "swapped"}
    lost = {row for row, true in truth.items() if true["kind"] == "sign_lost" and float(true["true_lat"]) < 0}
    assert (len(swapped), len(lost)) == (21, 11)
    assert {row for row, codes in doubts.items() if "axes_swapped" in codes} == swapped
    assert {row for row, codes in doubts.items() if "sign_lost" in codes} == lost
    placed = Observation.objects.filter(site_record__register=messy, file_row__in=swapped | lost)
    for observation in placed.select_related("site_record__placement"):
        true = truth[observation.file_row]
        stated = (float(true["true_lat"]), float(true["true_lon"]))  # as published: exchanged
        if observation.file_row in lost:
            stated = (stated[1], -stated[0])
        assert observation.site_record.placement.reported_point.coords == pytest.approx(stated, abs=1e-5)


def test_zero_and_blank_rows_are_records_without_a_position(messy, truth):
    doubts = flags_of_rows(messy)
    for row, true in truth.items():
        if true["kind"] in ("zero", "blank"):
            assert ("zero_position" in doubts[row]) == (true["kind"] == "zero")
    assert flags.unknown_regions(messy) == {"Ituri": 71}


def test_a_value_mapping_of_new_to_old_provinces_is_followed(messy):
    messy.value_mapping = {"stated_region": {"ituri": "Orientale"}}
    messy.save()
    found = flags.flag_records(register=messy)
    assert "region_unknown" not in found
    assert found["axes_swapped"] == 21 and found["sign_lost"] == 11


def test_flags_can_be_counted_before_anything_is_stored(shared_data):
    """A row counts as a record of its own then, also those of one id."""
    path = shared_data / "asm_records" / MESSY
    register = load(path, "messy", "--map", "source_id=Code site")
    load_provinces(shared_data)
    stored = flags.flag_records(register=register)
    reader, table = open_rows(path), Staging("staging_preview", temporary=True)
    table.create()
    for lines in reader.observations(register.column_mapping, register.value_mapping, batch_rows=10_000):
        if isinstance(lines, CopyLines):
            table.copy(lines)
    found = flags.preview_flags("staging_preview", project=register.project, register=register)
    assert found == stored | {"region_unknown": 76, "lattice": 2}
    unknown = flags.preview_flags("staging_preview", project=None, register=None)
    assert unknown == {"lattice": 2, "repeated_id": 14, "zero_position": 5}
    table.drop()


def test_the_22_duplicates_are_proposed(messy, truth):
    pairs = DuplicatePair.objects.all()
    repeated = pairs.filter(reason="repeated_id").select_related("first_observation", "second_observation")
    found = {(pair.second_observation.file_row, pair.first_observation.file_row) for pair in repeated}
    doubled = {(row, int(true["duplicate_of_row"]) + 1) for row, true in truth.items() if true["duplicate_of_row"]}
    assert found == doubled and len(found) == 15
    others = pairs.exclude(reason="repeated_id")
    assert Counter(others.values_list("reason", flat=True)) == {"near": 6, "same_name": 1}
    assert all(100 < pair.distance_m <= 300 for pair in others)
    assert pairs.count() == 22
    assert messy.flags.filter(code="repeated_id").count() == 14  # one id three times


def test_ipis_sites_in_another_province_than_stated_are_split(shared_data):
    """The 25 swapped visits are of 22 sites, which all lie in the Katanga that their other column names."""
    path = shared_data / "asm_records" / "ipis_drc_mine_visits_2009_2020.csv"
    ipis = load(path, "ipis", "--map", "source_id=pcode", "--map", "stated_region=province_old")
    load_provinces(shared_data)
    found = flags.flag_records(project=ipis.project)
    assert ipis.site_records.count() == 2988
    assert found["region_unlike"] == 127
    assert flags.split_of_region_unlike(ipis) == {"swapped_columns": 22, "near_border": 90, "further": 15}
    assert flags.unknown_regions(ipis) == {"Tanganyika": 22}
    swapped = Observation.objects.filter(attributes__province="Katanga", attributes__province_old="Tanganyika")
    assert swapped.count() == 25 and swapped.values("site_record").distinct().count() == 22
    assert found["outside_country"] == 3
    assert flags.flag_counts(ipis)[0] == ("outside_country", "outside the country", 3)
    assert "axes_swapped" not in found and found.get("sign_lost", 0) <= 1


def test_two_real_registers_meet_across(shared_data, messy):
    """The messy register is of IPIS sites: most of what it places has its original beside it."""
    path = shared_data / "asm_records" / "ipis_drc_mine_visits_2009_2020.csv"
    ipis = load(path, "ipis", "--map", "source_id=pcode", "--map", "stated_region=province_old")
    said = duplicates.find_duplicates(register=ipis)
    across = DuplicatePair.objects.filter(is_across_registers=True).select_related("first_record", "second_record")
    same = [pair for pair in across if pair.first_record.source_id == pair.second_record.source_id]
    assert said["across"] == len(across) > 200
    assert len(same) > 180
    assert {pair.reason for pair in same} == {"same_name"}
