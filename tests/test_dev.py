"""The script ./dev, as far as it can be seen without starting another PostgreSQL."""

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import SimpleNamespace

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "dev"


def load_script():
    loader = SourceFileLoader("dev_script", str(SCRIPT))
    module = module_from_spec(spec_from_loader("dev_script", loader))
    sys.modules["dev_script"] = module  # dataclasses look their module up
    loader.exec_module(module)
    return module


dev = load_script()


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """An ordinary user's clone with nothing in it."""
    places = dev.Places(tmp_path, 1000)
    monkeypatch.setattr(dev, "HERE", places)
    (tmp_path / ".dev").mkdir()
    return places


class TestHelp:
    def test_lists_every_command(self, capsys):
        assert dev.main([]) == 0
        printed = capsys.readouterr().out
        assert all(f"\n  {name} " in printed for name in dev.COMMANDS)

    @pytest.mark.parametrize("name", dev.COMMANDS)
    def test_every_command_is_in_the_documentation(self, name):
        assert f"`./dev {name}" in (SCRIPT.parent / "docs" / "deployment.md").read_text()

    def test_names_an_unknown_command(self, capsys):
        assert dev.main(["fly"]) == 2
        assert "no command fly" in capsys.readouterr().err

    def test_works_from_any_folder(self, tmp_path):
        done = subprocess.run([SCRIPT, "help"], cwd=tmp_path, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


class TestPlaces:
    @pytest.mark.parametrize("uid", [0, 1000, 4_000_000_000])
    def test_socket_paths_stay_short_in_a_deep_clone(self, uid):
        places = dev.Places(Path("/home") / ("a long name" * 20), uid)
        assert max(len(str(path)) for path in (places.postgresql_socket, places.redis_socket)) < 107

    def test_two_clones_share_nothing(self):
        one, other = (dev.Places(Path(f"/srv/{name}"), 0) for name in ("one", "other"))
        assert {one.data, one.sockets, one.dev}.isdisjoint({other.data, other.sockets, other.dev})

    def test_the_data_of_root_lie_where_the_service_account_can_go(self):
        assert dev.Places(Path("/root/clone"), 0).data.is_relative_to("/var/lib/asm_audit")

    def test_the_data_of_a_user_lie_in_the_clone(self):
        assert dev.Places(Path("/home/eva/clone"), 1000).data == Path("/home/eva/clone/.dev/data")

    def test_refuses_a_socket_folder_that_is_a_link(self, tmp_path):
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "sockets").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(dev.Trouble, match="belongs to somebody else"):
            dev.private_folder(tmp_path / "sockets", os.geteuid())

    def test_makes_folders_that_only_their_owner_enters(self, tmp_path):
        dev.private_folder(tmp_path / "new", os.geteuid())
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


class TestState:
    def test_is_readable_by_its_owner_only(self, clone):
        dev.read_state()
        assert stat.S_IMODE((clone.dev / "state.json").stat().st_mode) == 0o600

    def test_is_made_once(self, clone):
        assert dev.read_state() == dev.read_state()

    def test_differs_between_clones(self, clone):
        first = dev.read_state()
        (clone.dev / "state.json").unlink()
        second = dev.read_state()
        assert first["secret_key"] != second["secret_key"]
        assert set(first["logins"].values()).isdisjoint(second["logins"].values())

    def test_holds_a_password_for_every_role(self, clone):
        assert set(dev.read_state()["logins"]) == set(dev.LOGINS)

    def test_keeps_what_an_older_version_wrote(self, clone):
        (clone.dev / "state.json").write_text(json.dumps({"secret_key": "old", "logins": {"lead": "kept"}}))
        state = dev.read_state()
        assert (state["secret_key"], state["logins"]["lead"]) == ("old", "kept")


class TestPort:
    def test_prefers_the_one_it_had(self):
        assert dev.take_port(8765, take=lambda port: "socket") == (8765, "socket")

    def test_takes_the_next_free_one(self):
        assert dev.take_port(8765, take=lambda port: "socket" if port > 8767 else None) == (8768, "socket")

    def test_gives_up_with_a_sentence(self):
        with pytest.raises(dev.Trouble, match="No port from 8765"):
            dev.take_port(8765, take=lambda port: None)

    def test_the_provider_takes_another_where_its_own_is_held(self, clone):
        with socket.create_server(("127.0.0.1", 0)) as server:
            held = server.getsockname()[1]
            dev.write_state({**dev.read_state(), "provider_port": held})
            assert dev.choose_provider_port() == ()
        assert dev.read_state()["provider_port"] > held
        assert str(dev.read_state()["provider_port"]) in dev.provider_command()
        assert dev.settings_environment("demo")["IMAGERY_ALLOWED_HOSTS"].endswith(
            str(dev.read_state()["provider_port"])
        )

    def test_nobody_else_gets_a_port_that_is_held(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            assert dev.listen_on(server.getsockname()[1]) is None


class TestPackages:
    def test_tells_an_ordinary_user_what_to_ask_for(self, clone, monkeypatch):
        monkeypatch.setattr(dev.shutil, "which", lambda name: "/usr/bin/apt-get" if name == "apt-get" else None)
        with pytest.raises(dev.Trouble, match=r"sudo apt-get install redis-server gettext$"):
            dev.install_packages(["redis-server", "gettext"])

    def test_names_the_packages_where_there_is_no_apt(self, clone, monkeypatch):
        monkeypatch.setattr(dev.shutil, "which", lambda name: None)
        with pytest.raises(dev.Trouble, match="no Debian: install what Debian calls redis-server"):
            dev.install_packages(["redis-server"])

    def test_asks_for_the_postgresql_that_made_the_cluster(self, clone, monkeypatch):
        clone.cluster.mkdir(parents=True)
        (clone.cluster / "PG_VERSION").write_text("14\n")
        monkeypatch.setattr(dev.shutil, "which", lambda name: "/usr/bin/apt-get" if name == "apt-get" else None)
        with pytest.raises(dev.Trouble, match="postgresql-14-postgis-3"):
            dev.install_packages(["postgresql-postgis"])

    def test_needs_a_browser_for_tests_only(self, clone, monkeypatch):
        monkeypatch.setattr(dev, "chromium", lambda: None)
        assert "chromium" in dev.missing_packages(with_tests=True)
        assert "chromium" not in dev.missing_packages(with_tests=False)

    def test_leaves_nothing_of_a_temporary_file(self, tmp_path):
        with dev.temporary_file(tmp_path / "new" / "folder" / "note", "text"):
            assert (tmp_path / "new" / "folder" / "note").read_text() == "text"
        assert list(tmp_path.iterdir()) == []

    def test_keeps_what_others_put_beside_it_meanwhile(self, tmp_path):
        with dev.temporary_file(tmp_path / "new" / "note", "text"):
            (tmp_path / "new" / "theirs").touch()
        assert [path.name for path in (tmp_path / "new").iterdir()] == ["theirs"]


class TestRepeating:
    def test_works_again_only_for_another_fingerprint(self, tmp_path):
        done = []
        for fingerprint in ("one", "one", "two"):
            dev.once(tmp_path / "stamp", fingerprint, lambda fingerprint=fingerprint: done.append(fingerprint))
        assert done == ["one", "two"]

    def test_works_again_after_a_failure(self, tmp_path):
        with pytest.raises(ZeroDivisionError):
            dev.once(tmp_path / "stamp", "one", lambda: 1 / 0)
        assert not (tmp_path / "stamp").exists()

    def test_says_the_reason_and_the_mend_of_a_failed_command(self, clone):
        (clone.dev / "log").mkdir()
        with pytest.raises(dev.Trouble, match="the reason\nthe mend"):
            dev.run_logged(["sh", "-c", "echo the reason; exit 1"], "try", "the mend")

    def test_refuses_a_full_disk(self, clone, monkeypatch):
        monkeypatch.setattr(dev.shutil, "disk_usage", lambda path: SimpleNamespace(free=5 * 1024**2))
        with pytest.raises(dev.Trouble, match="Only 5 MiB are free"):
            dev.check_machine()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # outliving the starter is the point
class TestProcesses:
    @pytest.fixture
    def daemon(self, clone):
        (clone.dev / "run").mkdir()
        (clone.dev / "log").mkdir()
        return dev.Daemon("sleeper", lambda: ["sleep", "60"], lambda start: True)

    def test_is_started_once_and_stopped(self, daemon):
        dev.start([daemon])
        pid = daemon.pid()
        dev.start([daemon])
        assert daemon.pid() == pid
        assert daemon.stop()
        assert dev.process_started(pid) is None

    def test_a_note_about_another_process_of_the_same_number_is_stale(self, daemon):
        daemon.note.write_text(json.dumps({"pid": os.getpid(), "started": "1", "fingerprint": ""}))
        assert daemon.pid() is None
        assert not daemon.stop()

    def test_shows_the_end_of_the_log_when_it_does_not_start(self, clone, daemon):
        failing = dev.Daemon("failing", lambda: ["sh", "-c", "echo no such thing; exit 1"], lambda start: False)
        with pytest.raises(dev.Trouble, match="no such thing\nfailing stopped while starting"):
            dev.start([failing])

    def test_a_listener_is_known_by_its_socket(self, tmp_path):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(tmp_path / "s"))
            server.listen()
            assert dev.listener_pid(tmp_path / "s") == os.getpid()
        assert dev.listener_pid(tmp_path / "s") is None


class TestEnvironment:
    def test_tests_and_benches_never_meet_the_demonstration(self, clone):
        environments = [dev.settings_environment(purpose) for purpose in ("demo", "test", "bench")]
        for name in ("DATABASE_NAME", "REDIS_URL"):
            assert len({environment[name] for environment in environments}) == 3

    def test_a_stray_variable_does_not_lead_libpq_elsewhere(self, clone, monkeypatch):
        monkeypatch.setenv("PGHOST", "db.example.org")
        assert "PGHOST" not in dev.environment("demo")

    @pytest.mark.parametrize("name", ["fsync", "synchronous_commit", "full_page_writes"])
    def test_the_cluster_is_durable(self, name):
        assert dev.POSTGRESQL_SETTINGS[name] == "on"


class TestBench:
    def test_names_an_unknown_bench(self):
        done = subprocess.run([sys.executable, "-m", "tests.bench", "fly"], cwd=SCRIPT.parent, capture_output=True)
        assert (done.returncode, done.stderr.split(b";")[0]) == (2, b"There is no bench fly")


class TestRedis:
    def test_every_process_of_the_tests_has_a_database(self):
        flags = dev.redis_command()
        n = int(flags[flags.index("--databases") + 1])
        assert {*dev.REDIS_DATABASES.values(), *dev.REDIS_OF_TEST_PROCESSES} <= set(range(n))

    def test_a_database_that_is_not_there_empties_no_other(self, clone, tmp_path, monkeypatch):
        folder = Path(tempfile.mkdtemp(prefix="asm", dir="/tmp"))  # a socket's path is short
        monkeypatch.setattr(dev.Places, "sockets", property(lambda places: folder))
        server = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", dev.HERE.redis_socket, "--databases", "1", "--save", ""],
            cwd=folder,
            stdout=subprocess.DEVNULL,
        )
        try:
            while not dev.redis_is_ready():
                assert server.poll() is None
                time.sleep(0.02)
            assert dev.ask_redis("SET kept 1") == b"+OK\r\n"
            assert dev.ask_redis("SELECT 8", "FLUSHDB").startswith(b"-ERR")
            assert not dev.has_all_redis_databases()
            assert dev.ask_redis("EXISTS kept") == b":1\r\n"
        finally:
            server.terminate()
            server.wait()
            shutil.rmtree(folder)
