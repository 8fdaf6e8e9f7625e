"""The chunks of a feature set: taking one, computing it, marking it done; by the job's worker and by any that helps.

A chunk is a row. Whoever takes it (FOR UPDATE SKIP LOCKED) raises its token and holds it until a time, put off while
the work goes on. Its file is named for number and token, so that a worker that was given up on writes what nobody
reads. The row names the file's hash once it is whole on the disk.
"""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import sha256
from itertools import islice
from pathlib import Path
from time import monotonic, process_time

import numpy as np
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, Sum
from django.utils import timezone
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from labels.errors import Conflict, JobCancelled, LabelsError
from labels.imagery.chips import CHIP_PX, Chip, read_chips
from labels.models import ImagerySource, Job, ProviderDate, Scene
from predictions import features_compiled, storage
from predictions.features import RandomConvolutionalFeatures
from predictions.models import FeatureChunk, FeatureSet
from predictions.storage import FileDamaged, Streamed

log = logging.getLogger(__name__)

PLAN, FILTERS = "plan.npz", "filters.npz"
MOST_HELPERS = 64
# Chips that are computed at once, and cells of a chunk: some seconds' work, so that a killed worker costs no more.
BATCH = 16
CHUNK_CELLS, LEAST_CHUNK_CELLS = 256, 32
FULL_BANK = 1024

Report = Callable[[int], None]


class ChunkLost(Exception):
    """Another worker has the chunk now."""


# ---- what is to be done ----


@dataclass(frozen=True)
class Plan:
    cells: NDArray[np.int32]  # (n, 2), in a feature set's order
    bank: RandomConvolutionalFeatures  # fitted
    imagery: str  # fingerprint of the pictures, which must not change meanwhile
    per_chunk: int

    def parts(self) -> Iterator[NDArray[np.int32]]:
        for start in range(0, len(self.cells), self.per_chunk):
            yield self.cells[start : start + self.per_chunk]

    def part(self, number: int) -> NDArray[np.int32]:
        return self.cells[number * self.per_chunk : (number + 1) * self.per_chunk]


def cells_per_chunk(bank: RandomConvolutionalFeatures) -> int:
    """Fewer of larger banks, so that a chunk takes about as long."""
    return max(LEAST_CHUNK_CELLS, min(CHUNK_CELLS, CHUNK_CELLS * FULL_BANK // bank.n_filters))


def write_plan(feature_set: FeatureSet, plan: Plan) -> None:
    storage.write_arrays(feature_set.folder / FILTERS, **plan.bank.to_arrays())
    told = json.dumps({"imagery": plan.imagery, "per_chunk": plan.per_chunk}, sort_keys=True)
    storage.write_arrays(feature_set.folder / PLAN, cells=plan.cells, told=np.array(told))


def read_plan(feature_set: FeatureSet) -> Plan:
    """Raises FileDamaged where it is not there, or not what its rows were written for."""
    arrays, filters = (storage.read_arrays(feature_set.folder / name) for name in (PLAN, FILTERS))
    try:
        if json.loads(str(filters["parameters"]))["backend"] == "numba" and not features_compiled.is_available():
            raise Conflict(_("These features were begun with numba, which this machine lacks: install it here, too."))
        bank = RandomConvolutionalFeatures.from_arrays(filters)
        plan = Plan(cells=arrays["cells"], bank=bank, **json.loads(str(arrays["told"])))
    except (KeyError, TypeError, ValueError) as error:
        raise FileDamaged(_("The file %(file)s cannot be read.") % {"file": PLAN}) from error
    if len(plan.cells) != feature_set.n_cells or bank.filters_sha256 != feature_set.filters_sha256:
        raise FileDamaged(_("The file %(file)s was changed or damaged on the server.") % {"file": PLAN})
    return plan


def pictures(feature_set: FeatureSet) -> dict:
    """The arguments of `read_chips` that choose among the source's pictures."""
    day = feature_set.image_date
    if feature_set.source.kind == ImagerySource.Kind.SCENES:
        return {"day": date.fromisoformat(day) if day not in ("", "unknown") else day or None}
    return {"key": _provider_date(feature_set).key}


def _provider_date(feature_set: FeatureSet) -> ProviderDate:
    dates = ProviderDate.objects.filter(source=feature_set.source)
    if feature_set.image_date:
        on = None if feature_set.image_date == "unknown" else feature_set.image_date
        dates = dates.filter(captured_on=on)
    found = dates.order_by(F("captured_on").desc(nulls_last=True), "-pk").first()
    if found is None:
        raise Conflict(_("The imagery source %(name)s has no such pictures.") % {"name": feature_set.source.name})
    return found


def imagery_of(feature_set: FeatureSet) -> str:
    """A fingerprint of the pictures the features are made of: their content, order and the source's offset."""
    source = feature_set.source
    source.refresh_from_db(fields=["offset_east_m", "offset_north_m"])
    if source.kind == ImagerySource.Kind.SCENES:
        scenes = Scene.objects.filter(source=source)
        if (day := pictures(feature_set)["day"]) is not None:
            scenes = scenes.filter(captured_on=None if day == "unknown" else day)
        of = scenes.order_by(F("captured_on").desc(nulls_last=True), "-pk").values_list("sha256", flat=True)
    else:
        of = [_provider_date(feature_set).key]
    return sha256(repr([list(of), source.offset_east_m, source.offset_north_m]).encode()).hexdigest()


def check_imagery(feature_set: FeatureSet, plan: Plan) -> None:
    if imagery_of(feature_set) != plan.imagery:
        raise Conflict(
            _("The pictures of %(name)s have changed since these features were begun: make a new feature set.")
            % {"name": feature_set.source.name}
        )


# ---- how far it is ----


def n_left(feature_set: FeatureSet) -> int:
    return feature_set.chunks.filter(sha256="").count()


def n_cells_done(feature_set: FeatureSet) -> int:
    return feature_set.chunks.exclude(sha256="").aggregate(n=Sum("n_cells"))["n"] or 0


# ---- taking and finishing ----


def take(feature_set: FeatureSet) -> FeatureChunk | None:
    """A chunk that nobody works on, for so long as CHUNK_LEASE_S; None where there is none."""
    now = timezone.now()
    with transaction.atomic():
        free = Q(leased_until__isnull=True) | Q(leased_until__lt=now)
        waiting = feature_set.chunks.select_for_update(skip_locked=True).filter(free, sha256="")
        chunk = waiting.order_by("number").first()
        if chunk is None:
            return None
        chunk.token, chunk.leased_until = chunk.token + 1, _lease_end()
        chunk.save(update_fields=["token", "leased_until"])
    return chunk


def _lease_end():
    return timezone.now() + timedelta(seconds=settings.CHUNK_LEASE_S)


def _mine(chunk: FeatureChunk):
    return FeatureChunk.objects.filter(pk=chunk.pk, token=chunk.token, sha256="")


def _renew(chunk: FeatureChunk) -> None:
    if not _mine(chunk).update(leased_until=_lease_end()):
        raise ChunkLost


def compute(chunk: FeatureChunk, feature_set: FeatureSet, plan: Plan, report: Report) -> bool:
    """Compute a taken chunk and mark it done; False where another worker has it by now.

    `report` is called after each batch with the number of cells done; what it raises gives the chunk back.
    """
    began, path = process_time(), path_of(chunk, feature_set)
    try:
        arrays = _computed(chunk, feature_set, plan, report)
        digest = storage.write_arrays(path, **arrays)
    except ChunkLost:
        return False
    except BaseException:
        _mine(chunk).update(leased_until=None)
        raise
    if _mine(chunk).update(sha256=digest, leased_until=None, cpu_s=process_time() - began):
        return True
    # Others have done it since, or the whole set was put together or taken away: nobody discards this file any more.
    path.unlink(missing_ok=True)
    if not FeatureSet.objects.filter(pk=feature_set.pk).exists():
        with suppress(OSError):  # not empty: whoever takes the set away has yet to come to its files
            path.parent.rmdir()
    return False


def _computed(chunk: FeatureChunk, feature_set: FeatureSet, plan: Plan, report: Report) -> dict[str, NDArray]:
    cells = plan.part(chunk.number)
    arrays = {
        "features": np.full((len(cells), plan.bank.n_columns), np.nan, np.float32),
        "means": np.full((len(cells), 3), np.nan, np.float32),
        "stds": np.full((len(cells), 3), np.nan, np.float32),
        "missing": np.ones(len(cells), np.float32),
    }
    renewed_at, n_done = monotonic(), 0
    for chips in _in_batches(read_chips(feature_set.source, storage.cell_names(cells), **pictures(feature_set))):
        at = n_done + np.flatnonzero([chip.share_missing < 1 for chip in chips])
        seen = [chip for chip in chips if chip.share_missing < 1]
        if seen:
            known = [known_pixels(chip) for chip in seen]
            arrays["features"][at] = plan.bank.transform(np.stack([chip.pixels for chip in seen]), known)
            arrays["means"][at], arrays["stds"][at] = colours(seen)
        arrays["missing"][n_done : n_done + len(chips)] = [chip.share_missing for chip in chips]
        n_done += len(chips)
        if monotonic() - renewed_at > settings.CHUNK_LEASE_S / 6:
            _renew(chunk)
            renewed_at = monotonic()
        report(n_done)
    return arrays


def _in_batches(chips: Iterator[tuple[str, Chip]]) -> Iterator[list[Chip]]:
    while batch := [chip for _name, chip in islice(chips, BATCH)]:
        yield batch


def known_pixels(chip: Chip) -> NDArray[np.bool_] | None:
    """Where the chip shows something: where nothing is known it is 0 in all three. None: everywhere."""
    return chip.pixels.any(axis=0) if chip.share_missing else None


def colours(chips: list[Chip]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each chip's red, green and blue, 0 to 255, shapes (n, 3).

    Where nothing is known a chip is 0 in all three: such pixels add nothing to the sums and are not counted.
    """
    n_px = CHIP_PX**2 * (1 - np.array([chip.share_missing for chip in chips]))[:, None]
    pixels = np.stack([chip.pixels for chip in chips]).reshape(len(chips), 3, -1).astype(np.float64)
    means = pixels.sum(axis=2) / n_px
    return means, np.sqrt(np.maximum((pixels**2).sum(axis=2) / n_px - means**2, 0))


# ---- files ----


def path_of(chunk: FeatureChunk, feature_set: FeatureSet) -> Path:
    return feature_set.folder / f"chunk-{chunk.number:06d}-{chunk.token}.npz"


def is_whole(chunk: FeatureChunk, feature_set: FeatureSet) -> bool:
    """Whether the chunk's file is what its row says; where not, the chunk is to be done again."""
    try:
        if chunk.sha256 and storage.sha256_of(path_of(chunk, feature_set)) == chunk.sha256:
            return True
    except FileNotFoundError:
        pass
    FeatureChunk.objects.filter(pk=chunk.pk, token=chunk.token).update(sha256="", leased_until=None)
    return False


def write_together(feature_set: FeatureSet, plan: Plan, report: Report) -> tuple[str, int]:
    """Write features.npz; its hash, and how many cells have no imagery. Holds one chunk in memory at a time."""
    numbered = list(feature_set.chunks.order_by("number"))
    n, n_without = len(plan.cells), 0

    def of(name: str) -> Iterator[NDArray]:
        nonlocal n_without
        n_read = 0
        for chunk in numbered:
            block = storage.read_arrays(path_of(chunk, feature_set))[name]
            n_read += len(block)
            if name == "features":
                report(n_read)
            if name == "missing":
                n_without += int((block >= 1).sum())
            yield block

    shapes = {"features": (n, plan.bank.n_columns), "means": (n, 3), "stds": (n, 3), "missing": (n,)}
    streams = {name: Streamed(np.dtype(np.float32), shape, of(name)) for name, shape in shapes.items()}
    digest = storage.write_arrays(feature_set.folder / storage.FEATURES, cells=plan.cells, **streams)
    return digest, n_without


def discard_files(feature_set: FeatureSet) -> None:
    for path in feature_set.folder.glob("chunk-*.npz"):
        path.unlink(missing_ok=True)


# ---- helping ----


def call_helpers(feature_set: FeatureSet, token: int) -> None:
    """A message for each worker that could help. One helper does one chunk and then calls the next in its place, so
    that whatever else people ask of a worker waits for one chunk at most."""
    for _helper in range(min(n_left(feature_set) - 1, MOST_HELPERS)):
        if not call_helper(feature_set.pk, token):
            break


def call_helper(feature_set_id: int, token: int) -> bool:
    """Whether the message was sent."""
    from predictions.tasks import help_with_features  # the task imports this module

    try:
        help_with_features.apply_async((feature_set_id, token), queue=settings.SLOW_QUEUE)
    except help_with_features.OperationalError as error:
        log.warning(
            "Nobody is called to help with features: the message queue does not answer (%s).", type(error).__name__
        )
        return False
    return True


def help_once(feature_set_id: int, token: int) -> bool:
    """Do one chunk of a set whose job is under way, in the taking that `token` names; whether there may be more."""
    feature_set = FeatureSet.objects.select_related("source__project", "job").filter(pk=feature_set_id).first()
    if feature_set is None or not _is_under_way(feature_set, token):
        return False
    if (chunk := take(feature_set)) is None:
        return False

    def report(_n_done: int) -> None:
        nonlocal asked_at
        if monotonic() - asked_at > 1:
            asked_at = monotonic()
            if not _is_under_way(feature_set):
                raise JobCancelled

    asked_at = monotonic()
    try:
        plan = read_plan(feature_set)
        check_imagery(feature_set, plan)
        compute(chunk, feature_set, plan, report)
    except JobCancelled:
        return False
    except (LabelsError, OSError) as error:
        # The job's own worker meets the same trouble and says so, unless it is this machine's alone.
        _mine(chunk).update(leased_until=None)
        log.warning("Helping with features %s stopped: %s", feature_set.uuid, error)
        return False
    return True


def _is_under_way(feature_set: FeatureSet, token: int | None = None) -> bool:
    job = Job.objects.filter(pk=feature_set.job_id, state=Job.State.RUNNING, cancel_requested=False)
    return (job if token is None else job.filter(token=token)).exists()
