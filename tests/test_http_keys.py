"""API keys: the file, the check, and the command that makes them."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from api.http.keys import ApiKey, ApiKeys, KeyFileError, new_key
from api.http.middleware.api_keys import ApiKeyCheck, needed_scope
from tests.asgi import ask, echo
from tests.command_line import Run, runner


def digest_of(key: str | bytes) -> str:
    return hashlib.sha256(key if isinstance(key, bytes) else key.encode()).hexdigest()


READ, WRITE = "read-key", "write-key"


@pytest.fixture
def keys(tmp_path: Path) -> ApiKeys:
    file = tmp_path / "keys"
    file.write_text(
        f"# who may ask\n\nread {digest_of(READ)} the page\nwrite {digest_of(WRITE).upper()}\n", encoding="utf-8"
    )
    return ApiKeys.read(file)


def test_a_file_holds_hashes_and_names(keys: ApiKeys) -> None:
    assert keys.find(READ.encode()) == ApiKey("the page", "read", bytes.fromhex(digest_of(READ)))
    assert keys.find(WRITE.encode()) == ApiKey(digest_of(WRITE)[:8], "write", bytes.fromhex(digest_of(WRITE)))


@pytest.mark.parametrize("given", [b"", b"read-keY", b"read-key ", b"\xff\xfe", "schlüssel".encode(), b"x" * 1_000_000])
def test_any_other_bytes_are_no_key(keys: ApiKeys, given: bytes) -> None:
    assert keys.find(given) is None


def test_the_hash_is_not_a_key(keys: ApiKeys) -> None:
    assert keys.find(digest_of(READ).encode()) is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "holds no API key"),
        ("# none yet\n", "holds no API key"),
        (f"admin {'a' * 64}", "line 1: a scope is read or write"),
        (f"\nREAD {'a' * 64}", "line 2: a scope is read or write"),
        ("read secret-itself", "line 1: the second word is not the SHA-256"),
        (f"read {'a' * 63}", "line 1: the second word is not the SHA-256"),
        (f"read {'٣' * 64}", "line 1: the second word is not the SHA-256"),
        ("write", "line 1: the second word is not the SHA-256"),
        (f"read {'a' * 64}\nwrite {'A' * 64}", "line 2: the key of line 1 again"),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "keys"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(KeyFileError, match=complaint) as raised:
        ApiKeys.read(file)
    assert raised.value.hint
    assert "secret-itself" not in str(raised.value)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="No such file"):
        ApiKeys.read(tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(KeyFileError, match="not UTF-8"):
        ApiKeys.read(tmp_path / "binary")


def test_a_new_key_opens_what_its_line_says(tmp_path: Path) -> None:
    key, kept = new_key("write", "shop import")
    other, _ = new_key("write")
    assert len(key) > 40
    assert key != other
    assert key not in kept.line
    (tmp_path / "keys").write_text(kept.line, encoding="utf-8")
    assert ApiKeys.read(tmp_path / "keys").find(key.encode()) == kept


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/", None),
        ("GET", "/health", None),
        ("GET", "/page/app.js", None),
        ("POST", "/health", "write"),
        ("GET", "/metrics", "read"),
        ("GET", "/nowhere", "read"),
        ("GET", "/v1/collections", "read"),
        ("GET", "/v1/collections/shop/items/a/photo", "read"),
        ("POST", "/v1/collections/shop/search", "read"),
        ("POST", "/v1/collections/shop/search/image", "read"),
        ("POST", "/v1/collections/shop/explain", "read"),
        ("POST", "/v1/collections/shop/items/a/b.jpg/heatmap", "read"),
        ("POST", "/v1/embeddings", "read"),
        ("POST", "/v1/rerank", "read"),
        ("POST", "/v1/collections/shop/tags", "write"),
        ("POST", "/v1/collections/shop/items", "write"),
        ("POST", "/v1/collections/shop/items/search", "write"),
        ("POST", "/v1/collections/shop/search/", "write"),
        ("POST", "/v1/collections/shop/x/search", "write"),
        ("PUT", "/v1/collections/shop/search", "write"),
        ("PUT", "/v1/collections/shop/items/a", "write"),
        ("DELETE", "/v1/collections/shop/items/a/heatmap", "write"),
        ("BREW", "/", "write"),
    ],
)
def test_what_needs_which_scope(method: str, path: str, scope: str | None) -> None:
    assert needed_scope(method, path) == scope


BEARER = "Authorization"


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", [("X-API-Key", READ)], 200),
        ("GET", [(BEARER, f"Bearer {READ}")], 200),
        ("GET", [(BEARER, f"bEaReR   {READ} ")], 200),
        ("GET", [("X-API-Key", WRITE)], 200),
        ("PUT", [("X-API-Key", WRITE)], 200),
        ("PUT", [("X-API-Key", READ)], 403),
        ("GET", [(BEARER, "Basic x:y"), ("X-API-Key", READ)], 200),  # the proxy's own, and ours
        ("GET", [], 401),
        ("GET", [("X-API-Key", "")], 401),
        ("GET", [("X-API-Key", "wrong")], 401),
        ("GET", [("X-API-Key", "wrong"), (BEARER, f"Bearer {READ}")], 401),
        ("GET", [("X-API-Key", READ), ("X-API-Key", "wrong")], 401),
        ("GET", [("X-API-Key", b"\xff\xfe\x80")], 401),
        ("GET", [("X-API-Key", "schlüssel".encode())], 401),
        ("GET", [(BEARER, "Bearer \u00fc".encode())], 401),
        ("GET", [(BEARER, READ)], 401),
        ("GET", [(BEARER, f"Basic {READ}")], 401),
        ("GET", [("X-API-Key", "x" * 60_000)], 401),
    ],
)
def test_who_may(keys: ApiKeys, method: str, headers: list[tuple[str, str]], status: int) -> None:
    answer = ask(ApiKeyCheck(echo, keys), method, "/v1/collections/shop/items/a", headers=headers)
    assert answer.status == status
    if status != 200:
        assert answer.headers["www-authenticate"].startswith("Bearer ")
        assert answer.error["type"] == {401: "unauthorized", 403: "forbidden"}[status]
        assert answer.error["hint"]


def test_the_page_and_health_need_no_key(keys: ApiKeys) -> None:
    for path in ("/", "/health", "/page/app.js"):
        assert ask(ApiKeyCheck(echo, keys), path=path).status == 200


@pytest.mark.parametrize(
    "path", ["/v1/collections", "/page/../v1/collections", "/page/../metrics", "//health", "/page"]
)
def test_no_detour_gets_around_the_check(keys: ApiKeys, path: str) -> None:
    assert ask(ApiKeyCheck(echo, keys), path=path).status == 401


def test_a_refused_body_is_not_read(keys: ApiKeys) -> None:
    assert ask(ApiKeyCheck(echo, keys), "PUT", "/v1/x", chunks=[b"a", b"b"]).left == 2


def test_a_websocket_is_closed(keys: ApiKeys) -> None:
    sent = []

    async def send(message: dict[str, object]) -> None:
        sent.append(message["type"])

    async def never(*_: object) -> None:
        raise AssertionError

    asyncio.run(ApiKeyCheck(never, keys)({"type": "websocket", "path": "/v1/x", "headers": []}, None, send))  # type: ignore[arg-type]
    assert sent == ["websocket.close"]


# --- catalens api-key


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


def test_the_command_prints_a_key_and_its_line(run: Run, tmp_path: Path) -> None:
    code, out, err = run("api-key", "--scope", "read", "--name", "the page")
    key, line = out.splitlines()
    assert code == 0
    assert line == f"read {digest_of(key)} the page"
    assert key not in err


def test_the_command_adds_to_a_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    first = run("api-key", "--scope", "read", "--file", file)[1].strip()
    assert file.stat().st_mode & 0o077 == 0
    with file.open("a") as end:
        end.write("# no line break after this")
    second = run("api-key", "--scope", "write", "--name", "import", "--file", file)[1].strip()
    keys = ApiKeys.read(file)
    found = [keys.find(key.encode()) for key in (first, second)]
    assert [key and key.scope for key in found] == ["read", "write"]
    assert first not in file.read_text()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "--scope"),
        (["--scope", "admin"], "read or write"),
        (["--scope", "read", "--name", "a\nwrite b"], "one line"),
        (["--scope", "read", "--name", "x" * 101], "100 characters"),
        (["--scope", "read", "--file", "none/keys"], "No such file"),
    ],
)
def test_a_wrong_use_makes_no_key(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run("api-key", *arguments)
    assert (code != 0, out) == (True, "")
    assert complaint in err


def test_a_file_without_a_key_gets_its_first(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# keys of the shop", encoding="utf-8")
    key = run("api-key", "--scope", "read", "--file", file)[1].strip()
    assert ApiKeys.read(file).find(key.encode())


def test_a_file_with_a_mistake_is_left_alone(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("the key itself\n", encoding="utf-8")
    code, out, err = run("api-key", "--scope", "read", "--file", file)
    assert (code, out) == (1, "")
    assert "line 1" in err
    assert file.read_text(encoding="utf-8") == "the key itself\n"
