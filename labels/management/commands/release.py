"""manage.py release: release the labels of a project and write them to a file."""

import os
import shutil
import uuid
from pathlib import Path

from labels.errors import BadInput
from labels.management.progress import ProjectCommand
from labels.models import Job, Project, Release, ReleaseFile
from labels.releases import making


class Command(ProjectCommand):
    help = "Release the labels of a project (the same labels are the same release) and write them to a file."

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--format", required=True, choices=ReleaseFile.Format.values)
        parser.add_argument("--out", required=True, metavar="FILE", help="where to write; an existing file is replaced")
        parser.add_argument(
            "--audit", action="append", default=[], metavar="A", help="short name; repeat for several (default: all)"
        )
        parser.add_argument("--purpose", default="", help="what the release is for (kept with it)")

    def work(self, project: Project, options: dict) -> None:
        out = Path(options["out"])
        _check_writable(out)
        making.audits_to_release(project, options["audit"])
        if len(options["purpose"]) > 300:
            raise BadInput("--purpose: say it in at most 300 characters.")
        parameters = {"formats": [options["format"]], "audits": options["audit"], "purpose": options["purpose"]}
        result = self.run_job(project, Job.Kind.MAKE_RELEASE, options["format"], parameters).result
        release = Release.objects.get(project=project, number=result["release"])
        file = release.files.get(format=options["format"])
        making.note_download(None, file)
        _copy(making.path_of(file), out)
        self._say(release, file, out, is_new=result["is_new"])

    def _say(self, release: Release, file: ReleaseFile, out: Path, is_new: bool) -> None:
        card = release.data_card
        new = "made" if is_new else "the same labels as before"
        self.stdout.write(f"Release {release.number} of {release.project.slug} ({new}): {release.n_labels} labels")
        self.stdout.write(
            f"Left out: {card['n_units_not_judged']} units not judged, {release.n_left_out} for lack of rights"
        )
        self.stdout.write(f"Content sha256 {release.content_sha256}")
        self.stdout.write(f"{out}: {file.n_rows} rows, {file.size_bytes} bytes, sha256 {file.sha256}")


def _check_writable(out: Path) -> None:
    if out.is_dir():
        raise BadInput(f"--out {out} is a folder: name the file to write.")
    if not out.absolute().parent.is_dir():
        raise BadInput(f"--out {out}: there is no folder {out.absolute().parent}; make it first.")
    if not os.access(out.absolute().parent, os.W_OK):
        raise BadInput(f"--out {out}: the folder {out.absolute().parent} cannot be written to.")


def _copy(source: Path, out: Path) -> None:
    """Whole or not at all."""
    unfinished = out.with_name(f".{uuid.uuid4().hex}.{out.name}")
    try:
        shutil.copyfile(source, unfinished)
        unfinished.replace(out)
    except OSError as error:
        raise BadInput(f"--out {out}: {error.strerror}.") from error
    finally:
        unfinished.unlink(missing_ok=True)
