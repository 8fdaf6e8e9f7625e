"""The rules of judgement in the order a person would meet them, shared by reviews, adjudications and gold answers."""

from django.contrib.gis.geos import Point, Polygon
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from labels import geo, looking
from labels.errors import BadInput
from labels.models import SampleUnit
from labels.models.reviews import Judgement, MineType, RejectReason, UnsureReason, Verdict
from labels.workflow.given import GivenJudgement, GivenReview

WITH_A_MINE = (Verdict.CONFIRM, Verdict.MOVE)


def target(unit: SampleUnit) -> Polygon:
    """The ground that is to be seen: the search disc of a record, or the cell."""
    if unit.grid_cell:
        cell = Polygon.from_bbox(geo.grid_cell_bounds(unit.grid_cell))
        cell.srid = 4326
        return cell
    return looking.search_disc(unit.observation.point, unit.search_radius_m)


def check_record(unit: SampleUnit, given: GivenJudgement) -> None:
    """Whether this can be said of a record; what was seen is for the review to check."""
    if given.verdict not in (*WITH_A_MINE, Verdict.REJECT, Verdict.UNSURE):
        raise BadInput(_("A record is judged confirm, move, reject or unsure."))
    check_unsure(given)
    if given.verdict == Verdict.REJECT and given.reason not in RejectReason.values:
        raise BadInput(_("Reject needs to say what is there instead."))
    if given.verdict in WITH_A_MINE and given.reason:
        raise BadInput(_("Only reject and unsure carry a reason."))
    if given.verdict == Verdict.MOVE and given.mark is None:
        raise BadInput(_("Move needs the place of the mine: click it first."))
    if given.verdict in WITH_A_MINE and given.mark:
        _check_mark(unit, given.mark)


def check_cell(given: GivenJudgement) -> None:
    """Whether this can be said of a grid cell; its mines are marks, which only a review has."""
    if given.verdict not in (Verdict.SEARCHED, Verdict.UNSURE):
        raise BadInput(_("A grid cell is judged searched or unsure."))
    check_unsure(given)
    if given.verdict == Verdict.SEARCHED and given.reason:
        raise BadInput(_("Only reject and unsure carry a reason."))
    if given.mark or given.mine_type or given.activity or given.size_class or given.is_same_mine:
        raise BadInput(_("Mark the mines of a grid cell one by one, each with its type: the cell itself has none."))


def check_marks_in_cell(unit: SampleUnit, given: GivenReview) -> None:
    if given.other_mines and given.verdict == Verdict.UNSURE:
        raise BadInput(_("You marked a mine in this grid cell: answer searched."))
    for lon, lat, _type in given.other_mines:
        # To a centimetre, as released: a mark is never labelled into the cell next to the one it was seen in.
        if geo.grid_cell_id(round(lon, 7), round(lat, 7)) != unit.grid_cell:
            raise BadInput(_("A mark lies outside the grid cell: mark the mines inside it only."))


def check_unsure(given: GivenJudgement) -> None:
    if given.verdict == Verdict.UNSURE and given.reason not in UnsureReason.values:
        raise BadInput(_("Unsure needs a reason."))


def _check_mark(unit: SampleUnit, mark: tuple[float, float]) -> None:
    check_on_earth(mark)
    if not target(unit).contains(Point(*mark, srid=4326)):
        raise BadInput(
            _("The mark lies outside the search disc of %(radius)d m: mines beyond it are marked as another mine.")
            % {"radius": unit.search_radius_m}
        )


def check_on_earth(mark: tuple[float, float]) -> None:
    if not (-180 <= mark[0] <= 180 and -90 <= mark[1] <= 90):
        raise BadInput(_("The mark is not a place on earth."))


def check_other_mines(marks: list[tuple[float, float, str]]) -> None:
    for lon, lat, mine_type in marks:
        check_on_earth((lon, lat))
        if mine_type not in MineType.values:
            raise BadInput(_("Each mine has its type: artisanal, commercial or both."))


def fields_of(unit: SampleUnit, given: GivenJudgement) -> dict:
    """The columns that every kind of judgement has. What only a mine can have is dropped from a verdict without one."""
    has_mine = given.verdict in WITH_A_MINE
    return {
        "uuid": given.uuid,
        "unit": unit,
        "verdict": given.verdict,
        "reason": given.reason,
        "mark": _mark_of(unit, given) if has_mine else None,
        "mine_type": given.mine_type if has_mine else "",
        "activity": given.activity if has_mine else "",
        "size_class": given.size_class if has_mine else "",
        "signs": given.signs,
        "confidence": given.confidence,
        "is_same_mine": given.is_same_mine and has_mine,
        "note": given.note.strip(),
        "tolerance_m": unit.tolerance_m,
        "search_radius_m": unit.search_radius_m,
    }


def _mark_of(unit: SampleUnit, given: GivenJudgement) -> Point:
    """A confirm without a mark stands on the reported point."""
    return Point(*given.mark, srid=4326) if given.mark else unit.observation.point


def keep(judgement: Judgement) -> None:
    """Save a new row; what the database would refuse is said in words."""
    try:
        judgement.full_clean(validate_unique=False)
    except ValidationError as error:
        raise BadInput(" ".join(error.messages)) from error
    judgement.save(force_insert=True)
