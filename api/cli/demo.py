"""The demo: a real little shop is fetched, indexed and searched, and the answers become a page to look at."""

import shlex
import shutil
import sys
from pathlib import Path

from PIL import ImageOps
from rich.console import Console
from rich.markup import escape

from api.cli.contact_sheet import Section, write_contact_sheet
from api.cli.hits import hits_table
from api.cli.progress import show_progress
from indexer.demo_catalogue import fetch
from indexer.pipeline import index_sources
from indexer.sources import open_source
from retrieval.encoders import load_encoder
from retrieval.encoders.base import DualEncoder
from retrieval.errors import StorageError
from retrieval.images import decode_file
from retrieval.search import Searcher

QUERIES = (
    "black bicycle",
    "pink balloon",
    "something to sit on in a living room",
    "a plant in a pot",
    "shoes for running",
    "camera for taking pictures",
)
QUERY_PHOTO = "chuttersnap-324234-unsplash.jpg"  # the Nikkormat SLR camera
ON_THE_SHEET = 6  # hits: one full row at desktop width
IN_THE_TERMINAL = 4


def run(console_out: Console, console_err: Console, folder: Path, *, encoder: DualEncoder | None = None) -> None:
    """Fetch, index and search the demo shop in `folder`; what an earlier run left there is used again.

    Answers go to `console_out`, messages and progress to `console_err`. Leaves `catalogue`, `collection`,
    `query-photo.jpg` and `contact-sheet.html` in the folder.
    encoder: the starter if None.
    Raises the errors of `indexer.demo_catalogue.fetch`, `index_sources` and `Searcher.search`.
    """
    products = fetch(folder / "catalogue", on_message=lambda line: console_err.print(escape(line)))
    source = open_source(
        products,
        images_dir=products.parent / "images",
        id_column="slug",
        image_column="assets",
        title_column="name",
    )
    encoder = encoder or load_encoder("starter")
    collection = folder / "collection"
    with show_progress(console_err) as on_progress:
        summary = index_sources(collection, [source], encoder, on_progress=on_progress)
    console_err.print(
        f"{summary.outcomes.total()} photos, {summary.embedded} of them embedded now, in {summary.seconds:.1f} s."
    )

    query_photo = _mirrored_and_cropped(products.parent / "images" / QUERY_PHOTO, folder / "query-photo.jpg")
    with Searcher.open(collection, encoder) as searcher:
        sections = [Section(words, None, searcher.search(words, k=ON_THE_SHEET).hits) for words in QUERIES]
        hits = searcher.search(image=query_photo, k=ON_THE_SHEET).hits
        sections.append(Section("a camera from this shop, mirrored and cropped", query_photo, hits))
    for section in sections:
        asked = f"By photo: {section.query}" if section.photo else f'"{section.query}"'
        console_out.print(asked, style="bold", markup=False)
        console_out.print(hits_table(section.hits[:IN_THE_TERMINAL]))
        console_out.print()

    sheet = folder / "contact-sheet.html"
    write_contact_sheet(sheet, "Catalens: a shop searched in plain words", sections)
    console_out.print(f"All of this with its photos, to open in a browser: {escape(str(sheet))}", soft_wrap=True)
    console_out.print(_next_steps(collection), soft_wrap=True, markup=False, highlight=False)


def _mirrored_and_cropped(photo: Path, copy: Path) -> Path:
    """Write a copy that is no file of the catalogue any more: it must be found by what it shows."""
    image = ImageOps.mirror(decode_file(photo).image)
    width, height = image.size
    try:
        image.crop((width // 8, height // 8, width, height - height // 8)).save(copy, quality=90)
    except OSError as error:
        raise StorageError(
            f"{copy} cannot be written: {error.strerror or error}",
            hint="choose a folder with 20 MB of room: catalens demo FOLDER",
        ) from error
    return copy


def _next_steps(collection: Path) -> str:
    # As `make demo` calls it, the program lies in .venv/bin, which is not on everybody's PATH.
    catalens = "catalens" if shutil.which("catalens") else shlex.quote(sys.argv[0])
    return (
        "\nMore of this shop, then photos of your own:\n"
        f'  {catalens} search "a gift for a gardener" --collection {shlex.quote(str(collection))}\n'
        f"  {catalens} index YOUR-FOLDER\n"
        f'  {catalens} search "red shoes"'
    )
