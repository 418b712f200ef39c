"""`catalens serve`: its options. What it does is in `api/cli/serve_commands.py`."""

import re
from pathlib import Path
from typing import Annotated

import typer

from api.cli.options import RuntimeOption
from api.defaults import DEFAULT_COLLECTION


def serve(
    collection: Annotated[
        list[Path] | None,
        typer.Option(
            "--collection",
            metavar="DIR|NAME=DIR",
            envvar="CATALENS_COLLECTION",
            help="Folder of a collection; several times for several. Otherwise .catalens",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for a free one.")] = 8000,
    api_key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Ask for a key of this file; catalens api-key makes them.")
    ] = None,
    upload_limit: Annotated[int, typer.Option(min=1, metavar="MIB", help="Refuse requests larger than this.")] = 20,
    rate_limit: Annotated[
        float | None, typer.Option(min=1, metavar="N", help="Requests a minute that one key or address may make.")
    ] = None,
    allow_url: Annotated[
        bool, typer.Option("--allow-url", help="Fetch pictures that are named by URL, from public addresses only.")
    ] = False,
    image_root: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help="Folder in which items may name photos; several times.")
    ] = None,
    cors: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Site whose pages may call, such as https://shop.example; several times."),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Answer to this name, too: that of a proxy in front; several times."),
    ] = None,
    trust_proxy: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Believe this proxy who its clients are (X-Forwarded-For)."),
    ] = None,
    access_log: Annotated[
        bool, typer.Option("--access-log/--no-access-log", help="Log each request on stderr, as a line of JSON.")
    ] = True,
    reranker: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|DIR",
            help="For queries that ask for reranking: starter, or a folder of catalens train reranker; otherwise the "
            "encoder's, if there is one.",
        ),
    ] = None,
    runtime: RuntimeOption = None,
) -> None:
    """Serve collections over HTTP: a page to search with at /, an API for programs at /v1, its description at /docs."""
    from api.cli import serve_commands

    for origin in cors or ():
        if not re.fullmatch(r"\*|https?://[^/?#@\s]+", origin):
            raise typer.BadParameter(f"'{origin}' is no origin, such as https://shop.example", param_hint="--cors")
    for name in allow_host or ():
        if not re.fullmatch(r"[\w.-]+|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*", name):  # or an IPv6 address
            raise typer.BadParameter(
                f"'{name}' is no name such as shop.example, without a port", param_hint="--allow-host"
            )
    for root in image_root or ():
        if not root.is_dir():
            raise typer.BadParameter(f"{root} is no folder", param_hint="--image-root")
    if trust_proxy is not None and not _is_address(trust_proxy):
        raise typer.BadParameter(
            f"'{trust_proxy}' is no IP address or network, such as 10.0.0.1 or 10.0.0.0/8", param_hint="--trust-proxy"
        )
    settings = {
        "runtime": runtime,
        "reranker": reranker,
        "api_key_file": api_key_file,
        "upload_limit": upload_limit * 2**20,
        "rate_limit": rate_limit,
        "allow_url": allow_url,
        "image_roots": tuple(root.absolute() for root in image_root or ()),
        "cors": tuple(origin.lower() for origin in cors or ()),
    }
    outside = serve_commands.Outside(tuple(allow_host or ()), trust_proxy, access_log)
    serve_commands.serve(collection or [DEFAULT_COLLECTION], host, port, settings, outside)


def _is_address(written: str) -> bool:
    """Addresses and networks with commas between, or * for whoever connects."""
    import ipaddress

    try:
        for one in written.split(","):
            if one.strip() != "*":
                ipaddress.ip_network(one.strip(), strict=False)
    except ValueError:
        return False
    return True


def register(main: typer.Typer) -> None:
    """Add `serve` to the program."""
    main.command(short_help="Serve collections over HTTP, with a page to search.")(serve)
