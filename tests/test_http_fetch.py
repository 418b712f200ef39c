"""Pictures by URL: the guard against requests into the server's own network, on real sockets and real TLS."""

import io
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from api.http.addresses import is_public
from api.http.fetch import Fetcher, UrlError

PUBLIC, OTHER_PUBLIC = "93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"

Answer = bytes | Callable[[socket.socket], None]


def png(side: int = 8) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), (220, 20, 20)).save(file, "PNG")
    return file.getvalue()


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def redirect(to: str) -> bytes:
    return http(b"", "302 Found", f"Location: {to}")


class Internet:
    """A resolver and a way to connect, behind which one server on loopback answers for all public addresses.

    names: what each name resolves to, at the first look-up, the second and so on. dialled: the addresses asked for.
    """

    def __init__(self, port: int, names: dict[str, list[list[str]]]) -> None:
        self.port, self.names = port, names
        self.dialled: list[tuple[str, int]] = []
        self.looked_up: list[str] = []

    def resolve(self, host: str, port: int, **how: Any) -> list[tuple[Any, ...]]:
        self.looked_up.append(host)
        if host not in self.names:
            return list(socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST, **how))  # as the system reads it
        answers = self.names[host]
        return [(0, 0, 0, "", (one, port)) for one in (answers.pop(0) if len(answers) > 1 else answers[0])]

    def dial(self, address: str, port: int, seconds: float) -> socket.socket:
        self.dialled.append((address, port))
        return socket.create_connection(("127.0.0.1", self.port), timeout=seconds)


@contextmanager
def serving(*answers: Answer, context: ssl.SSLContext | None = None) -> Iterator[tuple[int, list[bytes]]]:
    """A server that answers one connection after the other: its port, and the requests it got."""
    listener = socket.create_server(("127.0.0.1", 0))
    requests: list[bytes] = []

    def run() -> None:
        for answer in answers:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            with connection:
                connection.settimeout(10)
                try:
                    stream = context.wrap_socket(connection, server_side=True) if context else connection
                    request = b""
                    while b"\r\n\r\n" not in request and (read := stream.recv(65_536)):
                        request += read
                    requests.append(request)
                    stream.sendall(answer) if isinstance(answer, bytes) else answer(stream)
                    stream.close()
                except OSError:
                    continue

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield listener.getsockname()[1], requests
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def fetcher(internet: Internet, limit: int = 100_000, seconds: float = 5.0) -> Fetcher:
    return Fetcher(limit, seconds, internet.resolve, internet.dial)


# --- what is public


@pytest.mark.parametrize("address", [PUBLIC, OTHER_PUBLIC, "8.8.8.8", "64:ff9b::808:808", "2a00:1450::1"])
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.0.1",
        "192.0.0.170",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::ffff:0:8.8.8.8",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::808:808",
        "100::1",
        "2001::1",
        "2001:0:7f00:1::",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:808:808::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "2a00:1450::1%eth0",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
        "4000::1",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "017700000001",
        "localhost",
        "08.8.8.8",
    ],
)
def test_addresses_that_are_not(address: str) -> None:
    assert not is_public(address)


# --- what is refused


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/x",
        "http://127.1/x",
        "http://2130706433/x",
        "http://0x7f000001/x",
        "http://0x7f.1/x",
        "http://017700000001/x",
        "http://0/x",
        "http://0.0.0.0/x",
        "http://[::1]/x",
        "http://[::]/x",
        "http://[::ffff:127.0.0.1]/x",
        "http://[::ffff:7f00:1]/x",
        "http://[64:ff9b::7f00:1]/x",
        "http://[2002:7f00:1::]/x",
        "http://[fe80::1%25lo]/x",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/latest/meta-data/",
        "http://10.0.0.1/x",
        "http://192.168.0.1/x",
        "http://100.64.0.1/x",
        "http://127.0.0.1./x",
        "http://１２７.0.0.1/x",
        "http://127。0。0。1/x",
        "https://127.0.0.1/x",
        "http://localhost.example/x",  # a public name for a private address
        "http://mixed.example/x",  # one public address, one private
        "http://nothing.example/x",
    ],
)
def test_no_spelling_of_a_private_address_is_asked(url: str) -> None:
    names = {
        "localhost.example": [["127.0.0.1"]],
        "mixed.example": [[PUBLIC, "10.0.0.1"]],
        "nothing.example": [[]],
    }
    internet = Internet(0, names)
    with pytest.raises(UrlError) as raised:
        fetcher(internet).image_bytes(url)
    assert internet.dialled == []
    assert raised.value.hint
    assert "10.0.0.1" not in str(raised.value).replace(url, "") or "10.0.0.1" in url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "/etc/passwd",
        "file:///etc/passwd",
        "ftp://example.com/x",
        "gopher://example.com/x",
        "data:image/png;base64,AAAA",
        "http://",
        "http:///x",
        "http://user@example.com/x",
        "http://user:secret@example.com/x",
        "http://@example.com/x",
        "http://example.com:8080/x",
        "http://example.com:22/x",
        "http://example.com:0/x",
        "http://example.com:99999/x",
        "http://example.com:x/x",
        "http://example.com\\@127.0.0.1/x",
        "http://example.com/a b",
        "http://example.com/\r\nHost: 127.0.0.1",
        "http://example.com/\x00",
        "http://[::1/x",
        "http://exa\ud800mple.com/x",
        "http://" + "a" * 64 + ".com/x",
        "http://example..com/x",
        "http://example.com/" + "x" * 2_100,
    ],
)
def test_what_is_no_plain_web_address_is_not_even_looked_up(url: str) -> None:
    internet = Internet(0, {"example.com": [[PUBLIC]]})
    with pytest.raises(UrlError) as raised:
        fetcher(internet).image_bytes(url)
    assert (internet.looked_up, internet.dialled) == ([], [])
    assert "secret" not in str(raised.value)


# --- what is fetched


def test_a_picture_comes_from_the_checked_address_under_its_own_name() -> None:
    with serving(http(png())) as (port, requests):
        internet = Internet(port, {"shop.example": [[PUBLIC]]})
        assert fetcher(internet).image_bytes("http://Shop.example/a/ü.png?size=2&x=%20#part") == png()
    assert internet.dialled == [(PUBLIC, 80)]
    head = requests[0].decode()
    assert head.startswith("GET /a/%C3%BC.png?size=2&x=%20 HTTP/1.1\r\n")
    assert "\r\nHost: shop.example\r\n" in head
    assert "cookie" not in head.lower()
    assert "identity" in head


def test_a_resolver_that_changes_its_mind_is_asked_once() -> None:
    """DNS rebinding: the address that was checked is the one that is asked."""
    with serving(http(png())) as (port, _):
        internet = Internet(port, {"evil.example": [[PUBLIC], ["127.0.0.1"]]})
        fetcher(internet).image_bytes("http://evil.example/x.png")
    assert internet.dialled == [(PUBLIC, 80)]
    assert internet.looked_up == ["evil.example"]


def test_a_redirect_is_checked_like_the_first_address() -> None:
    """The same name again, and the resolver has changed its mind meanwhile."""
    with serving(redirect("/again"), http(png())) as (port, _):
        internet = Internet(port, {"evil.example": [[PUBLIC], ["127.0.0.1"]]})
        with pytest.raises(UrlError, match="not on the public internet"):
            fetcher(internet).image_bytes("http://evil.example/x.png")
    assert internet.dialled == [(PUBLIC, 80)]


@pytest.mark.parametrize(
    "to",
    [
        "http://127.0.0.1/x",
        "//127.0.0.1/x",
        "http://[::1]/x",
        "http://169.254.169.254/latest/meta-data/",
        "http://shop.example:6379/x",
        "file:///etc/passwd",
        "http://a:b@shop.example/x",
        "javascript:alert(1)",
        "http://[::1",
        "//[/x",
        "http://\u2100.example/x",
    ],
)
def test_a_redirect_leads_nowhere_that_a_url_may_not(to: str) -> None:
    with serving(redirect(to), http(png())) as (port, _):
        internet = Internet(port, {"shop.example": [[PUBLIC]]})
        with pytest.raises(UrlError):
            fetcher(internet).image_bytes("http://shop.example/x.png")
    assert internet.dialled == [(PUBLIC, 80)]


def test_three_redirects_are_followed_and_not_four() -> None:
    hops = [redirect(f"http://{n}.example/") for n in (1, 2, 3)]
    names = {f"{n}.example": [[PUBLIC]] for n in range(5)}
    with serving(*hops, http(png())) as (port, _):
        assert fetcher(Internet(port, names)).image_bytes("http://0.example/") == png()
    with (
        serving(*hops, redirect("http://4.example/"), http(png())) as (port, _),
        pytest.raises(UrlError, match="more than 3 times"),
    ):
        fetcher(Internet(port, names)).image_bytes("http://0.example/")


def test_environment_proxies_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/")
    with serving(http(png())) as (port, _):
        internet = Internet(port, {"shop.example": [[PUBLIC]]})
        assert fetcher(internet).image_bytes("http://shop.example/") == png()
    assert internet.dialled == [(PUBLIC, 80)]


# --- what comes back is hostile


def without_end(stream: socket.socket) -> None:
    stream.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        stream.sendall(b"x" * 65_536)


def drip_body(stream: socket.socket) -> None:
    stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        stream.sendall(b"x")
        time.sleep(0.05)


def drip_to_the_end(stream: socket.socket) -> None:
    stream.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    while True:
        stream.sendall(b"x")
        time.sleep(0.05)


def drip_headers(stream: socket.socket) -> None:
    stream.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        stream.sendall(b"X: 1\r\n")
        time.sleep(0.05)


def silence(stream: socket.socket) -> None:
    stream.recv(1)  # until the other side gives up


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (http(b"x" * 1_001), "larger than 1,000 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "larger than 1,000 bytes"),
        (without_end, "larger than 1,000 bytes"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + b"x" * 1024 + b"\r\n", "larger than"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1001\r\n\r\n" + b"x" * 1_001, "larger than"),
        (drip_body, "within 0.4 s"),
        (drip_to_the_end, "within 0.4 s"),
        (drip_headers, "within 0.4 s"),
        (silence, "within 0.4 s"),
        (http(b"x", "404 Not Found"), "answered 404"),
        (http(b"x", "206 Partial Content"), "answered 206"),
        (http(b"", "302 Found"), "answered 302"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", "connection failed"),
        (b"no http at all\r\n\r\n", "connection failed"),
        (b"", "connection failed"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 200 + b"\r\n", "connection failed"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", "connection failed"),
    ],
    ids=[
        "too large",
        "says too large",
        "endless",
        "chunked",
        "packed",
        "drip",
        "drip to the end",
        "drip headers",
        "silent",
        "404",
        "206",
        "no location",
        "cut",
        "not http",
        "nothing",
        "many headers",
        "long header",
    ],
)
def test_an_answer_is_bounded_in_bytes_and_time(answer: Answer, complaint: str) -> None:
    seconds = 0.4 if "0.4" in complaint else 10.0  # a busy machine takes its time
    began = time.perf_counter()
    with serving(answer) as (port, _), pytest.raises(UrlError, match=complaint):
        fetcher(Internet(port, {"shop.example": [[PUBLIC]]}), 1_000, seconds).image_bytes("http://shop.example/")
    assert time.perf_counter() - began < 9  # one that drips would take 50 s


# --- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for shop.example with its key, in one file; its own authority."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl makes the certificate for this test, and is not installed")
    folder = tmp_path_factory.mktemp("tls")
    made = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=shop.example"]
    made += ["-addext", "subjectAltName=DNS:shop.example", "-keyout", folder / "key", "-out", folder / "cert"]
    subprocess.run(made, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes((folder / "key").read_bytes() + (folder / "cert").read_bytes())
    return both


def server_context(certificate: Path, asked: list[str | None]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _, name, __: asked.append(name)
    return context


@pytest.mark.parametrize(
    ("host", "trusted", "complaint"),
    [("shop.example", True, None), ("shop.example", False, "certificate"), ("other.example", True, "certificate")],
    ids=["right", "unknown authority", "another name"],
)
def test_the_certificate_is_checked_for_the_name_and_not_the_address(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, host: str, trusted: bool, complaint: str | None
) -> None:
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    asked: list[str | None] = []
    with serving(http(png()), context=server_context(certificate, asked)) as (port, requests):
        internet = Internet(port, {host: [[PUBLIC]]})
        if complaint is None:
            assert fetcher(internet).image_bytes(f"https://{host}/x.png") == png()
            assert b"\r\nHost: shop.example\r\n" in requests[0]
        else:
            with pytest.raises(UrlError, match=complaint):
                fetcher(internet).image_bytes(f"https://{host}/x.png")
            assert requests == []
    assert internet.dialled == [(PUBLIC, 443)]
    assert asked == [host]


def test_no_redirect_leads_from_tls_to_plain_http(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with serving(redirect("http://shop.example/x"), context=server_context(certificate, [])) as (port, _):
        internet = Internet(port, {"shop.example": [[PUBLIC]]})
        with pytest.raises(UrlError, match="from https to http"):
            fetcher(internet).image_bytes("https://shop.example/x.png")
    assert internet.dialled == [(PUBLIC, 443)]


def test_a_name_in_here_is_refused_as_one_that_does_not_exist() -> None:
    """Else whoever may name a URL could ask which machines there are."""
    internet = Internet(0, {"a.internal": [["10.0.0.1"]]})
    said = set()
    for name in ("a.internal", "b.internal"):
        with pytest.raises(UrlError) as raised:
            fetcher(internet).image_bytes(f"http://{name}/")
        said.add(str(raised.value).replace(name, "") + raised.value.hint)
    assert len(said) == 1


def test_a_greeting_that_never_ends_is_cut_off() -> None:
    def greets_slowly(stream: socket.socket) -> None:
        stream.sendall(b"\x16\x03\x03\x40\x00")  # a record of 16 KiB that comes byte by byte
        while True:
            stream.sendall(b"\x02")
            time.sleep(0.05)

    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def run() -> None:
        with listener.accept()[0] as connection:
            try:
                greets_slowly(connection)
            except OSError:
                ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    internet = Internet(listener.getsockname()[1], {"shop.example": [[PUBLIC]]})
    with pytest.raises(UrlError, match=r"within 0\.4 s"):
        fetcher(internet, seconds=0.4).image_bytes("https://shop.example/")
    thread.join(5)
    listener.close()
    assert ended.is_set()
