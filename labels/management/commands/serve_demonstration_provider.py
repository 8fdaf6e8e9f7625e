from threading import Timer

from django.core.management.base import BaseCommand, CommandError

from labels.demonstration.provider import ProviderServer


class Command(BaseCommand):
    help = (
        "Serve dated tiles of the fictional country on this machine, until interrupted. It stands for a provider of "
        "imagery on the internet, so that a remote source can be tried without one; the first tile takes ten seconds."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser) -> None:
        parser.add_argument("--port", type=int, default=8087, help="on 127.0.0.1 (default %(default)s)")
        parser.add_argument(
            "--warm-after", type=float, metavar="S", help="draw the country unasked after so many seconds"
        )

    def handle(self, *args, port: int, warm_after: float | None = None, **options) -> None:
        try:
            server = ProviderServer(port=port)
        except (OSError, OverflowError) as error:
            raise CommandError(f"Port {port} cannot be used: {error}", returncode=1) from error
        self.stdout.write(f"Serving on {server.address} until interrupted.")
        if warm_after is not None:
            timer = Timer(warm_after, server.store.warm)
            timer.daemon = True
            timer.start()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            self.stdout.write("Stopped.")
        finally:
            server.server_close()
