"""Say what this machine can do for the product: `doctor`. It ends with 1 when something has to be mended."""

from django.core.management.base import BaseCommand, CommandError

from labels import doctor


class Command(BaseCommand):
    help = "Check GDAL and its drivers, the process that opens files, PostgreSQL, Redis and the media folder."
    requires_system_checks = ()

    def handle(self, *args, **options) -> None:
        n_wrong = 0
        for finding in doctor.examine():
            mark = "wrong" if not finding.is_right else "note" if finding.is_warning else "ok"
            n_wrong += not finding.is_right
            self.stdout.write(f"{mark:<6}{finding.says}")
        if n_wrong:
            raise CommandError(f"{n_wrong} of these must be mended.", returncode=1)
