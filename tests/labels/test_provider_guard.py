"""No address leads a request of ours into our own network; a listener there counts what arrives."""

import ssl
import subprocess
import threading
import time
from dataclasses import replace

import pytest

from labels.checks import allowed_hosts_are_written_out
from labels.imagery.providers import fetching, guard
from labels.imagery.providers.errors import Failed, ProviderError, Refused
from tests.loopback import picture, serving

QUICK = fetching.Limits(connect_s=1, silence_s=1, total_s=2, max_bytes=100_000)

# {port} is where the listener waits.
PAYLOADS = [
    # names and numbers of this machine
    "https://localhost:{port}/",
    "https://localhost/",
    "https://LOCALHOST/",
    "https://localhost./",
    "https://a.localhost/",
    "https://127.0.0.1/",
    "https://127.0.0.1:{port}/",
    "https://127.1/",
    "https://127.0.1/",
    "https://127.000.000.001/",
    "https://0127.0.0.1/",
    "https://2130706433/",
    "https://017700000001/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0x7f.1/",
    "https://127.0.0.1./",
    "https://127.127.127.127/",
    "https://0/",
    "https://0.0.0.0/",
    "https://[::]/",
    "https://[::1]/",
    "https://[::1]:{port}/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::ffff:0:127.0.0.1]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::127.0.0.1]/",
    "https://[64:ff9b:1::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[2001:0:7f00:1::]/",
    "https://[::1%25lo]/",
    "https://[fe80::1%25eth0]/",
    # other networks of ours
    "https://10.0.0.1/",
    "https://172.16.5.4/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://100.100.100.200/latest/meta-data/",
    "https://169.254.169.254/latest/meta-data/",
    "https://169.254.170.2/v2/credentials",
    "https://[fd00:ec2::254]/latest/meta-data/",
    "https://2852039166/latest/meta-data/",
    "https://0xa9fea9fe/",
    "https://168.63.129.16/",
    "https://192.0.0.192/",
    "https://198.18.0.1/",
    "https://224.0.0.1/",
    "https://240.0.0.1/",
    "https://255.255.255.255/",
    "https://[fc00::1]/",
    "https://[fec0::1]/",
    "https://[ff02::1]/",
    "https://metadata.google.internal/",
    "https://redis/",
    "https://printer.local/",
    "https://intranet.corp/",
    # other schemes
    "http://example.com/",
    "http://127.0.0.1:{port}/",
    "file:///etc/passwd",
    "ftp://127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/_GET",
    "dict://127.0.0.1:{port}/",
    "ldap://127.0.0.1:{port}/",
    "jar:https://127.0.0.1:{port}!/",
    "data:text/html,x",
    "javascript:alert(1)",
    "unix:///tmp/redis.sock",
    "//127.0.0.1:{port}/",
    "127.0.0.1:{port}",
    "",
    # who is the host?
    "https://example.com@127.0.0.1/",
    "https://user:word@example.com/",
    "https://127.0.0.1:{port}\\@example.com/",
    "https://example.com\\@127.0.0.1:{port}/",
    "https://example.com#@127.0.0.1:{port}/@x",
    "https://example.com:{port}/",
    "https://example.com:22/",
    "https://example.com:/",
    "https://example.com:99999/",
    "https:///example.com/",
    "https://example.com\r\nHost: 127.0.0.1/",
    "https://example.com/ HTTP/1.1\r\nX: y",
    "https://exa mple.com/",
    "https://exаmple.com/",  # a Cyrillic letter
    "https://１２７.0.0.1/",
    "https://127。0。0。1/",
    "https://ⓛocalhost/",
    "https://[127.0.0.1]/",
    "https://[::1/",
    "https://%31%32%37.0.0.1/",
    "https://127.0.0.1%2f@example.com/",
    "https://-example.com/",
    "https://example..com/",
    "https://example.123/",
]


@pytest.fixture
def listener():
    with serving() as server:
        yield server


@pytest.fixture
def network(monkeypatch):
    """A network of names for one test: each look-up takes the next answer of a name."""
    names: dict[str, list[list[str]]] = {}
    looked_up: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        looked_up.append(host)
        if host not in names:
            if host[0].isdigit() or ":" in host:
                return [host]
            raise OSError("no such host")
        return names[host].pop(0) if len(names[host]) > 1 else names[host][0]

    monkeypatch.setattr(fetching, "resolve", resolve)
    resolve.names, resolve.looked_up = names, looked_up
    return resolve


def test_payloads_are_many():
    assert len(set(PAYLOADS)) >= 90


@pytest.mark.parametrize("payload", PAYLOADS)
def test_hostile_addresses_reach_nobody(payload, listener, network):
    network.names["example.com"] = [["127.0.0.1"]]
    url = payload.replace("{port}", str(listener.server_address[1]))
    with pytest.raises(Refused) as refused:
        fetching.fetch(url, limits=QUICK)
    assert listener.asked == []
    assert str(refused.value)


@pytest.mark.parametrize(
    "number",
    [
        "127.0.0.1",
        "10.1.2.3",
        "169.254.169.254",
        "::1",
        "::ffff:127.0.0.1",
        "fe80::1",
        "fd00::1",
        "64:ff9b::7f00:1",
        *["2002:7f00:1::", "100.64.3.4", "0.0.0.0", "224.0.0.5", "192.168.0.1", "fe80::1%lo", "168.63.129.16"],
    ],
)
def test_a_name_that_means_our_network_is_not_asked(number, listener, network):
    network.names["tiles.example.com"] = [[number]]
    with pytest.raises(Refused):
        fetching.fetch("https://tiles.example.com/", limits=QUICK)
    network.names["tiles.example.com"] = [["93.184.216.34", number]]  # one bad number among good ones
    with pytest.raises(Refused):
        fetching.fetch("https://tiles.example.com/", limits=QUICK)
    assert listener.asked == []


def test_a_name_is_looked_up_once_and_the_checked_number_is_connected_to(listener, network, monkeypatch):
    """Rebinding: the second answer of the name would be this machine, and nobody asks for it."""
    network.names["tiles.example.com"] = [["93.184.216.34"], ["127.0.0.1"]]
    connected = []

    def connect(sock, address):
        connected.append(address)
        raise OSError("unreachable")

    monkeypatch.setattr(fetching._TimedSocket, "connect", connect)
    with pytest.raises(Failed):
        fetching.fetch("https://tiles.example.com/", limits=QUICK)
    assert network.looked_up == ["tiles.example.com"]
    assert connected == [("93.184.216.34", 443)]
    assert listener.asked == []


@pytest.mark.parametrize(
    "location",
    [
        "http://localhost:{other}/",
        "http://127.0.0.1:{other}/",
        "https://127.0.0.1:{other}/",
        "//127.0.0.1:{other}/x",
        *[
            "file:///etc/passwd",
            "https://169.254.169.254/latest",
            "http://[::1]:{other}/",
            "gopher://127.0.0.1:{other}/",
        ],
    ],
)
def test_redirects_are_checked_like_addresses(location, listener, network):
    """Also where the operator allowed the host that redirects: another port of the same machine is another door."""
    with serving() as other:
        where = location.replace("{other}", str(other.server_address[1]))
        listener.answer = lambda handler: handler.send(302, Location=where)
        with pytest.raises(Refused):
            fetching.fetch(listener.url, limits=QUICK, allowed={listener.authority})
        with pytest.raises(Refused):  # even if that door is allowed for others
            fetching.fetch(listener.url, limits=QUICK, allowed={listener.authority, other.authority})
        assert other.asked == []


def test_redirects_end(listener):
    listener.answer = lambda handler: handler.send(301, Location=f"/again{len(listener.asked)}")
    with pytest.raises(Failed):
        fetching.fetch(listener.url, limits=QUICK, allowed={listener.authority})
    assert len(listener.asked) == 1 + fetching.MAX_HOPS


def test_an_allowed_host_is_asked_and_learns_nothing_of_people(listener):
    answer = fetching.fetch(f"{listener.url}/1/2/3?a=b", limits=QUICK, allowed={listener.authority})
    ((path, headers),) = listener.asked
    assert (answer.status, path) == (200, "/1/2/3?a=b")
    assert set(headers) == {"Host", "User-Agent", "Accept", "Accept-Encoding", "Connection"}
    assert headers["User-Agent"] == fetching.USER_AGENT


def test_an_allowed_name_may_be_ours_but_not_the_clouds(listener, network):
    port = listener.server_address[1]
    network.names["tiles"] = [["127.0.0.1"]]
    assert fetching.fetch(f"http://tiles:{port}/", limits=QUICK, allowed={f"tiles:{port}"}).status == 200
    network.names["tiles"] = [["169.254.169.254"]]
    with pytest.raises(Refused):
        fetching.fetch(f"http://tiles:{port}/", limits=QUICK, allowed={f"tiles:{port}"})


def test_proxies_of_the_environment_are_not_used(listener, monkeypatch):
    with serving() as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        fetching.fetch(listener.url, limits=QUICK, allowed={listener.authority})
        assert proxy.asked == []


# Limits


@pytest.mark.parametrize("what", ["body", "headers", "silence", "chunks"])
def test_a_slow_server_does_not_hold_us(listener, what):
    stop = threading.Event()

    def drip(handler):
        pieces = {
            "headers": [b"HTTP/1.1 200 OK\r\n"] + [b"X" for _ in range(500)],
            "body": [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"] + [b"x" for _ in range(1000)],
            "chunks": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"] + [b"1\r\nx\r\n" for _ in range(500)],
            "silence": [b""],
        }[what]
        for piece in pieces:
            handler.wfile.write(piece)
            handler.wfile.flush()
            if stop.wait(0.1):
                return
        stop.wait(10)

    listener.answer = drip
    began = time.monotonic()
    with pytest.raises(Failed) as failed:
        fetching.fetch(listener.url, limits=replace(QUICK, total_s=1.5), allowed={listener.authority})
    stop.set()
    assert failed.value.was_slow
    assert time.monotonic() - began < 2.5


def test_a_slow_look_up_does_not_hold_us(monkeypatch):
    monkeypatch.setattr(fetching, "resolve", lambda host, port: time.sleep(3) or ["93.184.216.34"])
    began = time.monotonic()
    with pytest.raises(Failed) as failed:
        fetching.fetch("https://tiles.example.com/", limits=replace(QUICK, total_s=0.5))
    assert failed.value.was_slow
    assert time.monotonic() - began < 1.5


def test_too_much_is_not_read(listener):
    for headers in ({"kind": "image/jpeg"}, {"Content_Encoding": "gzip"}):
        import gzip

        content = b"\0" * 3_000_000
        packed = gzip.compress(content) if "Content_Encoding" in headers else content
        listener.answer = lambda handler, c=packed, h=headers: handler.send(content=c, **h)
        with pytest.raises(Failed):
            fetching.fetch(listener.url, limits=QUICK, allowed={listener.authority})


def test_a_broken_off_answer_is_no_answer(listener):
    def broken(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort")

    listener.answer = broken
    with pytest.raises(Failed):
        fetching.fetch(listener.url, limits=QUICK, allowed={listener.authority})


def test_nonsense_is_a_sentence(listener):
    listener.answer = lambda handler: handler.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
    with pytest.raises(ProviderError) as wrong:
        fetching.fetch(f"{listener.url}/?key=secret-word", limits=QUICK, allowed={listener.authority})
    assert "secret-word" not in str(wrong.value)


# Over TLS


@pytest.fixture
def certificate(tmp_path, monkeypatch):
    """A certificate of tiles.example.com that this process trusts."""
    path = tmp_path / "tls.pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=tiles.example.com",
            *["-addext", "subjectAltName=DNS:tiles.example.com", "-keyout", path, "-out", path],
        ],
        check=True,
        capture_output=True,
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    fetching._tls.cache_clear()
    yield path
    fetching._tls.cache_clear()


def test_over_tls_the_name_is_proven_and_the_number_pinned(listener, network, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    names = []
    context.sni_callback = lambda sock, name, _: names.append(name)
    listener.socket = context.wrap_socket(listener.socket, server_side=True)
    port = listener.server_address[1]
    network.names["tiles.example.com"] = [["127.0.0.1"]]
    network.names["other.example.com"] = [["127.0.0.1"]]
    allowed = {f"tiles.example.com:{port}", f"other.example.com:{port}"}
    answer = fetching.fetch(f"https://tiles.example.com:{port}/x", limits=QUICK, allowed=allowed)
    assert answer.content == picture()
    assert names == ["tiles.example.com"]
    assert listener.asked[0][1]["Host"] == f"tiles.example.com:{port}"
    with pytest.raises(Failed, match="does not prove"):
        fetching.fetch(f"https://other.example.com:{port}/x", limits=QUICK, allowed=allowed)
    assert len(listener.asked) == 1


def test_entries_of_the_operator_are_checked_at_start(settings):
    settings.IMAGERY_ALLOWED_HOSTS = ["127.0.0.1:8087", "[::1]:80", "tiles:8080"]
    assert allowed_hosts_are_written_out(None) == []
    settings.IMAGERY_ALLOWED_HOSTS = ["http://127.0.0.1:8087", "tiles", "*"]
    assert [error.id for error in allowed_hosts_are_written_out(None)] == ["labels.E002"]


def test_the_public_internet_may_be_asked():
    for url in ("https://tiles.example.com/1/2/3.png?x=y", "https://93.184.216.34/", "https://[2606:2800:220:1::1]/"):
        assert guard.check(url).scheme == "https"
    guard.check_ip("93.184.216.34")
    guard.check_ip("2606:2800:220:1:248:1893:25c8:1946")
