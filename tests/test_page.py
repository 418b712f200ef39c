"""The page at `/`, as a person uses it, in a real browser before a real server.

After each test nothing may have gone wrong on the page that the test did not expect. CATALENS_SCREENSHOTS names a
folder for pictures of it.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, urlsplit

import pytest
from PIL import Image

from api.http.keys import new_key
from indexer.sources.base import SourceItem
from tests.browser import DESKTOP, PHONE, Visit, chromium, painted, pictures_folder, png, serving, shop
from tests.fakes import COLOURS, ColourEncoder
from tests.listed import fill

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Route

Visiting = Callable[..., Visit]
ODD_ID = "a/../b c?d=1&e#f%20%"
ODD = {"made in": 'Łódź "1" \\ `x`', "or": True}


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def collections(browser: "Browser", tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    folder = tmp_path_factory.mktemp("page")
    fill(folder / "nothing", [], ColourEncoder())
    return shop(folder / "shop"), folder / "nothing", odd_shop(folder / "odd")


def odd_shop(folder: Path) -> Path:
    """Things that hardly have names, with fields that need quotes."""
    folder.mkdir()
    photo = painted(folder / "a.png", COLOURS["red"])
    usual = {"made in": "there", "or": False}
    drives = ("C:\\bin", "C:\\film", "D:")
    many = [
        SourceItem(
            f"m{i}",
            f"Thing {i}",
            (),
            attributes={**usual, "maker": f"Maker {i % 18}", "constructor": drives[i % 3]},
        )
        for i in range(36)
    ]
    items = [
        *many,
        SourceItem(ODD_ID, "<img src=x onerror=alert(1)> & co", (photo,), attributes=ODD, texts={"note": "</p><b>x"}),
        SourceItem("bare", "", (), attributes={"made in": "here", "or": False}),
        SourceItem(
            "plain",
            "Plain",
            tuple(painted(folder / f"{name}.png", COLOURS[name]) for name in ("blue", "green")),
            attributes={"made in": "here"},
        ),
    ]
    fill(folder / "odd-things", items, ColourEncoder())
    return folder / "odd-things"


@pytest.fixture(scope="module")
def server(collections: tuple[Path, Path, Path]) -> Iterator[str]:
    with serving(*collections) as address:
        yield address


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures_folder(tmp_path_factory.mktemp("screenshots"))


Opening = Callable[..., "BrowserContext"]


@pytest.fixture(scope="module")
def opening(browser: "Browser") -> Opening:
    def open_one(size: tuple[int, int] = DESKTOP, **context: Any) -> "BrowserContext":
        made = browser.new_context(viewport={"width": size[0], "height": size[1]}, locale="en-GB", **context)
        made.set_default_timeout(10_000)
        return made

    return open_one


@pytest.fixture(scope="module")
def usual(opening: Opening) -> "BrowserContext":
    """Where pages share what the browser has cached, for tests that ask for nothing special."""
    return opening()


@pytest.fixture
def visiting(opening: Opening, usual: "BrowserContext", server: str, pictures: Path) -> Iterator[Visiting]:
    """Opens pages; at the end of the test nothing must have gone wrong on any of them."""
    visits = []

    def open_one(base: str = server, **context: Any) -> Visit:
        visit = Visit((opening(**context) if context else usual).new_page(), base, pictures)
        visit.watch()
        visits.append(visit)
        return visit

    yield open_one
    for visit in visits:
        visit.leave()
        if visit.page.context != usual:
            visit.page.context.close()
    assert [visit.wrong for visit in visits] == [[] for _ in visits]


@pytest.fixture
def visit(visiting: Visiting) -> Visit:
    return visiting()


def expect(*given: Any) -> Any:
    from playwright.sync_api import expect as expected

    return expected(*given)


def test_the_start_invites(visit: Visit) -> None:
    page = visit.go()
    expect(page.locator("#hero h1")).to_be_visible()
    expect(page.locator("#count")).to_have_text("36 items")
    expect(page.locator(".collections [aria-current]")).to_contain_text("Pottery")
    examples = page.locator(".example")
    assert examples.count() >= 3
    visit.shoot("start")
    text = examples.first.inner_text()
    examples.first.click()
    expect(page.locator("#hero")).to_be_hidden()
    expect(page.locator("#q")).to_have_value(text)
    wanted = text.lower().replace(" ", "-")
    expect(page.locator(".card").first).to_have_attribute("data-id", wanted)  # an example finds what it says


def test_one_types_at_once(visit: Visit, visiting: Visiting) -> None:
    page = visit.go()
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("/blue bowl")  # with the key that goes to the box, too
    expect(page.locator("#q")).to_have_value("blue bowl")
    expect(page.locator(".card").first).to_have_attribute("data-id", "blue-bowl")
    shared = visiting().go("/?q=mug")  # who was sent an answer looks at it
    expect(shared.locator(".card").first).to_be_visible()
    expect(shared.locator("#q")).not_to_be_focused()


def test_a_new_search_is_shown_from_its_top(visit: Visit) -> None:
    page = visit.go("/?q=mug")
    visit.settle()
    page.evaluate("scrollTo(0, 120)")
    page.locator("#q").fill("red lamp")
    expect(page.locator(".card").first).to_have_attribute("data-id", "red-lamp")
    assert page.evaluate("scrollY") == 0


def test_numbers_as_people_write_them(visit: Visit) -> None:
    said = visit.go().evaluate(
        """async () => {
            const { shown } = await import(new URL("words.js", document.querySelector("script[type=module]").src));
            return [2011, 12345, 0.125, true, ["a", 2]].map(shown);
        }"""
    )
    assert said == ["2011", "12,345", "0.13", "yes", "a, 2"]


def test_it_searches_while_words_are_typed(visit: Visit) -> None:
    page = visit.go()
    asked: list[str] = []
    page.on("request", lambda request: request.url.endswith("/search") and asked.append(request.post_data or ""))
    page.locator("#q").press_sequentially("red lamp", delay=20)
    expect(page.locator(".card").first).to_have_attribute("data-id", "red-lamp")
    visit.settle()
    assert visit.ids()[:1] == ["red-lamp"]
    assert {each.split("-")[0] for each in visit.ids()[:4]} == {"red"}
    expect(page.locator("#live")).to_contain_text("Best of 36 items")
    expect(page.locator(".card .meter").first).to_have_text(re.compile("match"))
    visit.shoot("search")
    asked.clear()
    page.evaluate(
        """words => {
            const box = document.getElementById("q");
            for (let n = 1; n <= words.length; n++) {
                box.value = words.slice(0, n);
                box.dispatchEvent(new Event("input"));
            }
        }""",
        "blue bowl",
    )
    expect(page.locator(".card").first).to_have_attribute("data-id", "blue-bowl")
    visit.settle()
    assert len(asked) == 1, "each key was a search of its own"


def test_a_stale_answer_is_never_shown(visit: Visit) -> None:
    page = visit.go()
    late: list[Route] = []

    def hold(route: "Route") -> None:
        if '"words":"blue"' in (route.request.post_data or ""):
            late.append(route)
        else:
            route.continue_()

    page.route("**/search", hold)
    with page.expect_request("**/search"):
        page.fill("#q", "blue")
    page.fill("#q", "green mug")
    expect(page.locator(".card").first).to_have_attribute("data-id", "green-mug")
    for route in late:
        route.continue_()
    visit.settle()
    assert len(late) == 1
    assert visit.ids()[0] == "green-mug"


def drop(page: "Page", name: str, event: str) -> None:
    """A picture file of one colour, dropped on the page or pasted into it."""
    page.evaluate(
        """([content, event]) => {
            const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
            const files = new DataTransfer();
            files.items.add(new File([bytes], "photo.png", { type: "image/png" }));
            const made = event === "paste"
                ? new ClipboardEvent("paste", { clipboardData: files, bubbles: true, cancelable: true })
                : new DragEvent(event, { dataTransfer: files, bubbles: true, cancelable: true });
            document.body.dispatchEvent(made);
        }""",
        [png(COLOURS[name]), event],
    )


def test_a_photo_is_dropped_pasted_or_chosen(visit: Visit, tmp_path: Path) -> None:
    page = visit.go()
    drop(page, "blue", "dragenter")
    expect(page.locator("#drop")).to_be_visible()
    drop(page, "blue", "drop")
    expect(page.locator("#drop")).to_be_hidden()
    expect(page.locator(".chip")).to_have_count(1)
    expect(page.locator(".card").first).to_have_attribute("data-id", re.compile("^blue"))
    visit.shoot("photo")
    page.get_by_label("Take away: your photo").click()
    expect(page.locator(".chip")).to_have_count(0)

    drop(page, "yellow", "paste")
    expect(page.locator(".card").first).to_have_attribute("data-id", re.compile("^yellow"))
    page.get_by_label("Take away: your photo").click()

    page.set_input_files("#file", painted(tmp_path / "green.png", COLOURS["green"]))
    expect(page.locator(".card").first).to_have_attribute("data-id", re.compile("^green"))


@pytest.mark.parametrize(("name", "content"), [("a.jpg", b"no picture"), ("b.png", b""), ("c", b"%PDF-1.7 and so on")])
def test_what_is_no_picture_is_said_and_leaves_the_search_alone(
    visit: Visit, tmp_path: Path, name: str, content: bytes
) -> None:
    page = visit.go("/?q=red+mug")
    (tmp_path / name).write_bytes(content)
    page.set_input_files("#file", tmp_path / name)
    expect(page.locator(".toast")).to_contain_text(f"{name} cannot be read as a picture.")
    expect(page.locator(".chip")).to_have_count(0)
    expect(page.locator(".card").first).to_have_attribute("data-id", "red-mug")


def test_a_picture_that_only_the_server_can_read(visit: Visit, tmp_path: Path) -> None:
    page = visit.go()
    Image.new("RGB", (64, 64), COLOURS["green"]).save(tmp_path / "green.tiff")
    page.set_input_files("#file", tmp_path / "green.tiff")
    expect(page.locator(".card").first).to_have_attribute("data-id", re.compile("^green"))
    expect(page.locator(".chip .thumb svg")).to_be_visible()  # this browser draws no TIFF


def test_words_and_a_photo_together(visit: Visit) -> None:
    page = visit.go("/?q=lamp&by=image")
    drop(page, "purple", "drop")
    expect(page.locator(".card").first).to_have_attribute("data-id", re.compile("^purple"))
    page.get_by_label("Both").check()
    expect(page.locator(".card").first).to_have_attribute("data-id", "purple-lamp")
    page.reload()  # the photo is kept in the tab
    expect(page.locator(".card").first).to_have_attribute("data-id", "purple-lamp")


def test_a_photo_does_not_travel_in_an_address(visit: Visit, visiting: Visiting) -> None:
    page = visit.go("/?q=lamp")
    drop(page, "purple", "drop")
    expect(page.locator(".chip")).to_have_count(1)
    shared = urlsplit(page.url)
    friend = visiting()
    there = friend.go(f"/?{shared.query}")
    expect(there.locator("#toast")).to_contain_text("photos do not travel in addresses")
    expect(there.locator("#q")).to_have_value("lamp")
    expect(there.locator(".chip.missing")).to_have_count(1)
    assert friend.ids()[0].endswith("lamp")


def test_facets_narrow_down(visit: Visit) -> None:
    page = visit.go("/?q=mug")
    colours = page.locator(".facet", has_text="Colour")
    expect(colours.locator(".value", has_text="Red").locator(".many")).to_have_text("4")
    colours.get_by_label(re.compile("^Red")).check()
    expect(page.locator("#count")).to_contain_text("Best of 4 items")
    assert {each.split("-")[0] for each in visit.ids()} == {"red"}
    # The other colours can still be taken as well, and other fields count what is left.
    expect(colours.locator(".value", has_text="Blue").locator(".many")).to_have_text("4")
    expect(page.locator(".facet", has_text="Kind").locator(".value", has_text="Lamp").locator(".many")).to_have_text(
        "1"
    )
    colours.get_by_label(re.compile("^Blue")).check()
    expect(page.locator("#count")).to_contain_text("Best of 8 items")
    assert "f.colour=Red" in page.url and "f.colour=Blue" in page.url
    visit.shoot("facets")
    page.get_by_label("Take off: Colour: Red").click()
    expect(page.locator("#count")).to_contain_text("Best of 4 items")
    assert {each.split("-")[0] for each in visit.ids()} == {"blue"}


def test_lists_and_yes_or_no_are_facets_too(visit: Visit) -> None:
    page = visit.go()
    page.locator(".facet", has_text="In stock").get_by_label(re.compile("^no")).check()
    expect(page.locator("#count")).to_have_text("12 items")
    page.locator(".facet", has_text="Rooms").get_by_label(re.compile("^Living room")).check()
    expect(page.locator("#count")).to_have_text("6 items")


def test_a_long_list_of_values_is_looked_through(visit: Visit) -> None:
    page = visit.go("/?c=odd-things")
    makers = page.locator(".facet", has_text="Maker")
    expect(makers.locator(".value")).to_have_count(7)
    makers.get_by_role("button", name="11 more").click()
    expect(makers.locator(".value:visible")).to_have_count(18)
    makers.get_by_label("Find among Maker").fill("maker 1")
    expect(makers.locator(".value:visible")).to_have_count(9)  # 1, 10 to 17
    makers.get_by_label(re.compile("^Maker 17")).check()
    expect(page.locator("#count")).to_have_text("2 items")


def test_a_range_of_prices(visit: Visit) -> None:
    page = visit.go("/?sort=price")
    page.get_by_label("Price, highest").fill("12")
    page.get_by_label("Price, highest").press("Enter")
    expect(page.locator("#count")).to_have_text("3 items")
    assert visit.ids() == ["red-mug", "red-lamp", "red-vase"]
    page.get_by_label("Price, from").press("ArrowRight")
    expect(page.locator("#count")).to_have_text("2 items")
    page.get_by_label(re.compile("^Take off: Price")).click()
    first = page.locator(".quick .value").first
    many = first.locator(".many").inner_text()
    first.click()
    expect(page.locator("#count")).to_have_text(f"{many} items")
    expect(page.locator(".quick [aria-pressed=true]")).to_have_count(1)


def test_more_and_less_like_a_hit(visit: Visit) -> None:
    page = visit.go("/?q=red&by=image")
    page.locator(".card[data-id=yellow-mug]").hover()
    page.get_by_label("More like Yellow mug").click()
    expect(page.locator(".chip.plus .chip-text")).to_have_text("Yellow mug")
    expect(page.locator(".card").first).to_have_attribute("data-id", re.compile("^orange"))  # red and yellow
    assert "yellow-mug" not in visit.ids()  # it is asked by, and not found
    hit = page.locator(".card").first
    was = hit.get_attribute("data-id") or ""
    hit.locator("button").nth(1).click(force=True)
    expect(page.locator(".chip.less")).to_have_count(1)
    expect(page.locator(".chip.less .weight")).to_have_text("×0.3")
    visit.settle()
    assert was not in visit.ids()
    visit.shoot("more-and-less")
    assert f"unlike=0.3%3A{was}" in page.url


def test_a_minus_becomes_a_chip(visit: Visit) -> None:
    page = visit.go("/?by=image")
    page.locator("#q").press_sequentially("purple -bl")
    visit.settle()
    expect(page.locator(".chip")).to_have_count(0)  # who knows what it will be
    near = [each.split("-")[0] for each in visit.ids()]
    assert near[0] == "purple" and "blue" in near[:12]
    page.locator("#q").press_sequentially("ue ")
    expect(page.locator(".chip.less .chip-text")).to_have_text("blue")
    expect(page.locator("#q")).to_have_value("purple ")
    visit.settle()
    after = [each.split("-")[0] for each in visit.ids()]
    assert "blue" not in after[: near.index("blue") + 1]
    assert "without=0.5%3Ablue" in page.url
    page.get_by_label("Counts 0.5 times; press to change").click()
    expect(page.locator(".weight")).to_have_text("×1")
    visit.settle()
    assert "blue" not in [each.split("-")[0] for each in visit.ids()[:24]]
    assert "without=blue" in page.url
    page.get_by_label("blue: more instead").click()
    expect(page.locator(".chip.plus .chip-text")).to_have_text("blue")
    expect(page.locator(".card").first).to_have_attribute("data-id", re.compile("^blue"))
    page.get_by_label("Take away: blue").click()
    expect(page.locator(".chip")).to_have_count(0)
    assert "blue" not in page.url


@pytest.mark.parametrize(
    ("typed", "words", "without"),
    [
        ('mug -"dark red"', "mug", ["dark red"]),
        ("mug without red", "mug", ["red"]),
        ("-red", "", ["red"]),
        ("t-shirt", "t-shirt", []),
    ],
)
def test_enter_says_what_is_meant(visit: Visit, typed: str, words: str, without: list[str]) -> None:
    page = visit.go()
    page.fill("#q", typed)
    page.press("#q", "Enter")
    expect(page.locator("#q")).to_have_value(words)
    expect(page.locator(".chip.less .chip-text")).to_have_text(without)


def test_a_minus_that_is_left_counts(visit: Visit) -> None:
    page = visit.go()
    page.fill("#q", "mug -red")
    page.keyboard.press("Tab")
    expect(page.locator(".chip.less .chip-text")).to_have_text("red")
    expect(page.locator("#q")).to_have_value("mug")


def test_words_are_added_by_buttons(visit: Visit) -> None:
    page = visit.go("/?q=mug&by=image")
    page.get_by_role("button", name="without").click()
    page.get_by_label("Without").fill("dark")
    page.get_by_label("Without").press("Escape")
    expect(page.locator(".chip")).to_have_count(0)
    page.get_by_role("button", name="also").click()
    page.get_by_label("Also").fill("green")
    page.get_by_label("Also").press("Enter")
    expect(page.locator(".chip.plus .chip-text")).to_have_text("green")
    expect(page.locator(".card").first).to_have_attribute("data-id", re.compile("^green"))


def test_the_detail_view(visit: Visit) -> None:
    page = visit.go("/?q=red+lamp")
    page.locator(".card-link").first.click()
    dialog = page.locator("#detail")
    expect(dialog).to_be_visible()
    expect(dialog.locator("h2")).to_have_text("Red lamp")
    expect(dialog.locator(".why li").first).to_have_text("It is the best of 36 items.")
    expect(dialog.locator(".why")).to_contain_text("By its photos it is")
    expect(dialog).to_contain_text("A lamp of stoneware, glazed by hand.")
    expect(dialog.locator("dl")).to_contain_text("Living room")
    similar = dialog.locator(".similar button")
    assert similar.count() >= 3
    expect(similar.first).to_contain_text("Red")
    assert page.evaluate("document.activeElement.closest('dialog')?.id") == "detail"

    page.get_by_role("button", name="Where it matches").click()
    heat = dialog.locator(".heat-map")
    expect(heat).to_be_visible()
    assert heat.evaluate("map => map.naturalWidth > 0")
    expect(dialog.locator(".heat")).to_have_attribute("aria-pressed", "true")
    visit.shoot("detail")
    page.get_by_role("button", name="Where it matches").click()
    expect(heat).to_have_count(0)

    similar.first.click()
    expect(dialog.locator("h2")).not_to_have_text("Red lamp")
    page.go_back()
    expect(dialog.locator("h2")).to_have_text("Red lamp")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert page.evaluate("document.activeElement.closest('.card')?.dataset.id") == "red-lamp"
    assert "item=" not in page.url


def test_the_detail_view_goes_on_to_the_next(visit: Visit) -> None:
    page = visit.go("/?q=red+lamp")
    second = visit.ids()[1]
    page.locator(".card-link").first.click()
    expect(page.locator(".why li").first).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#detail h2")).to_have_text(second.replace("-", " ").capitalize())
    expect(page.locator(".why li").first).to_have_text("It comes 2nd of 36 items.")
    page.get_by_role("button", name="More like this").click()
    expect(page.locator("#detail")).to_be_hidden()
    expect(page.locator(".chip.plus")).to_have_count(1)


def test_photos_of_one_item(visit: Visit) -> None:
    """The one that won stands first, and each has its own map."""
    page = visit.go("/?c=odd-things&q=green&by=image&item=plain")
    frame = page.locator("#detail .frame")
    thumbs = page.locator("#detail .thumbs button")
    expect(thumbs).to_have_count(2)
    expect(frame).to_have_attribute("data-photo", re.compile(r"\d"))
    green = frame.get_attribute("data-photo")
    asked: list[str] = []
    page.on("request", lambda request: "/heatmap" in request.url and asked.append(request.url))
    page.get_by_role("button", name="Where it matches").click()
    expect(frame.locator(".heat-map")).to_be_visible()
    thumbs.nth(1).click()
    expect(frame.locator(".heat-map")).to_have_count(0)
    blue = frame.get_attribute("data-photo")
    assert blue != green
    page.get_by_role("button", name="Where it matches").click()
    expect(frame.locator(".heat-map")).to_be_visible()
    assert [url.rpartition("=")[2] for url in asked] == [green, blue]
    red, greenness = page.evaluate(
        """async () => {
            const brush = document.createElement("canvas").getContext("2d");
            const photo = document.querySelectorAll("#detail .thumbs img")[0];
            await photo.decode();
            brush.drawImage(photo, 0, 0, 1, 1);
            return [...brush.getImageData(0, 0, 1, 1).data];
        }"""
    )[:2]
    assert greenness > 2 * red


def test_nothing_fits(visit: Visit) -> None:
    page = visit.go()
    visit.search("asdkjh qwpoe")
    expect(page.locator(".notice.unsure")).to_contain_text("Nothing here really fits “asdkjh qwpoe”")
    expect(page.locator("#grid")).to_have_class(re.compile("dim"))
    expect(page.locator("#live")).to_contain_text("Nothing really fits")
    visit.shoot("nothing-fits")
    visit.search("red mug")
    expect(page.locator(".notice")).to_have_count(0)
    expect(page.locator("#grid")).not_to_have_class(re.compile("dim"))


def test_no_results_and_an_empty_collection(visit: Visit) -> None:
    page = visit.go("/?q=mug&f.colour=Red&max.price=5")
    expect(page.locator(".notice.empty")).to_contain_text("Nothing passes these filters")
    expect(page.locator("#count")).to_have_text("No results")
    visit.shoot("no-results")
    page.get_by_role("button", name="Take all filters off").click()
    expect(page.locator("#count")).to_contain_text("Best of 36 items")
    page.get_by_role("button", name="Nothing").click()
    expect(page.locator(".notice.empty")).to_contain_text("This collection is empty")
    expect(page.locator(".facet")).to_have_count(0)


def test_the_server_s_own_message_is_shown(visit: Visit) -> None:
    page = visit.go("/?q=mug&f.nosuch=1")
    expect(page.locator(".notice.error h2")).to_have_text("no item has a field nosuch")
    expect(page.locator(".notice.error p")).to_contain_text("the fields are colour")
    visit.shoot("error")
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)  # it would be refused again
    page.get_by_role("button", name="Take all filters off").click()
    expect(page.locator(".card").first).to_be_visible()
    assert all("422" in wrong or "nosuch" in wrong or wrong.endswith("/search") for wrong in visit.wrong)
    visit.wrong.clear()


def test_a_server_that_goes_away_and_comes_back(visiting: Visiting, collections: tuple[Path, Path, Path]) -> None:
    with serving(collections[0]) as address:
        visit = visiting(address)
        page = visit.go()
    page.fill("#q", "green bowl")
    expect(page.locator(".notice.error")).to_contain_text("The server does not answer")
    assert visit.wrong
    with serving(collections[0], port=int(address.rpartition(":")[2])):
        page.get_by_role("button", name="Try again").click()
        expect(page.locator(".card").first).to_have_attribute("data-id", "green-bowl")
        expect(page.locator(".notice")).to_have_count(0)
        visit.leave()  # before the server ends for good
    assert all("ERR_CONNECTION_REFUSED" in wrong for wrong in visit.wrong)
    visit.wrong.clear()


def test_a_busy_server_is_asked_again(visit: Visit) -> None:
    page = visit.go()
    refused: list[str] = []

    def busy(route: Any) -> None:
        if refused:
            return route.continue_()
        refused.append(route.request.url)
        error = {"type": "busy", "message": "too much at once", "hint": None, "field": None}
        return route.fulfill(status=429, headers={"Retry-After": "1"}, json={"error": error})

    page.route("**/search", busy)
    page.fill("#q", "cyan vase")
    expect(page.locator(".card").first).to_have_attribute("data-id", "cyan-vase")
    assert len(refused) == 1
    visit.wrong.clear()


def test_more_that_fails_is_asked_for_by_hand(visit: Visit) -> None:
    page = visit.go("/?q=mug")
    visit.settle()
    page.route("**/search", lambda route: route.abort())
    page.mouse.wheel(0, 5_000)
    expect(page.locator("#more")).to_have_text("The server does not answer. Try again")
    assert len(visit.ids()) == 24
    page.unroute("**/search")
    page.locator("#more").click()
    expect(page.locator(".card:not(.ghost)")).to_have_count(36)
    assert visit.wrong
    visit.wrong.clear()


def test_odd_names_are_text_and_nothing_else(visit: Visit) -> None:
    page = visit.go("/?c=odd-things&f.made+in=here&f.made+in=" + quote_plus(ODD["made in"]))
    visit.settle()
    assert sorted(visit.ids()) == sorted([ODD_ID, "bare", "plain"])
    page.goto(visit.base + "/?c=odd-things&sort=-photos")
    visit.settle()
    odd = page.locator(".card", has_text="onerror")
    expect(odd.locator(".title")).to_have_text("<img src=x onerror=alert(1)> & co")
    expect(odd.locator("img.there")).to_be_visible()
    odd.locator(".card-link").click()
    expect(page.locator("#detail h2")).to_have_text("<img src=x onerror=alert(1)> & co")
    expect(page.locator("#detail")).to_contain_text("</p><b>x")
    expect(page.locator("#detail .similar button").first).to_be_visible()
    page.get_by_role("button", name="More like this").click()
    expect(page.locator("#count")).to_have_text(re.compile("^Best of 37 items "))
    page.reload()
    expect(page.locator(".chip-text")).to_have_text("<img src=x onerror=alert(1)> & co")
    page.get_by_label(re.compile("^Take away")).click()
    page.get_by_label(re.compile("^Łódź")).check()
    expect(page.locator("#count")).to_have_text("1 item")
    page.get_by_label(re.compile("^yes")).check()
    expect(page.locator(".pill")).to_have_count(2)
    expect(page.locator("#count")).to_have_text("1 item")


def test_fields_may_have_the_names_of_what_every_object_has(visit: Visit) -> None:
    page = visit.go("/?c=odd-things")
    for drive in ("C:\\bin", "C:\\film"):
        page.locator(".facet", has_text="Constructor").get_by_label(drive).check()
    expect(page.locator("#count")).to_have_text("24 items")
    page.reload()
    expect(page.locator("#count")).to_have_text("24 items")
    page.get_by_label("Take off: Constructor: C:\\bin").click()
    expect(page.locator("#count")).to_have_text("12 items")
    visit.settle()
    visit.go("/?c=odd-things&f.__proto__=x&min.__proto__=5&max.constructor=3&f.toString=y")
    expect(page.locator(".notice.error h2")).to_contain_text("no item has a field")
    assert page.evaluate("[{}.low, {}.high, Object.low]") == [None, None, None]
    page.get_by_role("button", name="Take all filters off").click()
    expect(page.locator("#count")).to_have_text("39 items")
    visit.wrong.clear()  # the browser tells of each answer that was an error


def test_an_address_is_the_whole_search(visit: Visit, visiting: Visiting) -> None:
    page = visit.go("/?q=mug&without=dark&like=2:red-bowl&f.kind=Mug&f.kind=Vase&below.price=30&by=image&sort=-price")
    visit.settle()
    first, address = visit.ids(), page.url
    assert first and all(each.endswith(("mug", "vase")) for each in first)
    page.reload()
    page.locator(".card:not(.ghost)").first.wait_for()
    visit.settle()
    assert visit.ids() == first
    friend = visiting()
    there = friend.go("/?" + urlsplit(address).query)
    friend.settle()
    assert friend.ids() == first
    expect(there.locator("#q")).to_have_value("mug")
    expect(there.locator(".chip")).to_have_count(2)
    expect(there.locator(".chip.plus")).to_contain_text("Red bowl")
    expect(there.locator(".weight").nth(1)).to_have_text("×2")
    expect(there.locator("#by input:checked")).to_have_value("image")
    expect(there.locator("#sort")).to_have_value("-price")
    expect(there.locator(".pill")).to_have_count(3)


def test_back_and_forward(visit: Visit) -> None:
    page = visit.go()
    visit.search("red mug")
    page.get_by_label("Photos", exact=True).check()
    visit.settle()
    page.locator(".card-link").first.click()
    expect(page.locator("#detail")).to_be_visible()
    page.go_back()
    expect(page.locator("#detail")).to_be_hidden()
    page.go_back()
    expect(page.locator("#by input:checked")).to_have_value("hybrid")
    expect(page.locator("#q")).to_have_value("red mug")
    page.go_back()
    expect(page.locator("#q")).to_have_value("")
    expect(page.locator("#hero")).to_be_visible()
    page.go_forward()
    expect(page.locator("#q")).to_have_value("red mug")
    expect(page.locator(".card").first).to_have_attribute("data-id", "red-mug")


def test_more_hits_come_as_one_scrolls(visit: Visit) -> None:
    page = visit.go("/?q=mug")
    visit.settle()
    assert len(visit.ids()) == 24
    page.mouse.wheel(0, 5_000)
    expect(page.locator(".card:not(.ghost)")).to_have_count(36)
    assert len(set(visit.ids())) == 36
    expect(page.locator("#end")).to_have_text("That was all: 36 items.")
    expect(page.locator("#more")).to_be_hidden()


def test_keys(visit: Visit) -> None:
    page = visit.go()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "q"
    page.keyboard.type("yellow vase")
    expect(page.locator(".card").first).to_have_attribute("data-id", "yellow-vase")
    page.keyboard.press("ArrowDown")

    def focused() -> int:
        return page.evaluate("[...document.querySelectorAll('.card-link')].indexOf(document.activeElement)")

    assert focused() == 0
    page.keyboard.press("ArrowRight")
    assert focused() == 1
    page.keyboard.press("ArrowDown")
    assert focused() > 2
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    assert focused() == 0
    page.keyboard.press("Enter")
    expect(page.locator("#detail h2")).to_have_text("Yellow vase")
    page.keyboard.press("Escape")
    expect(page.locator("#detail")).to_be_hidden()
    assert focused() == 0
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.id") == "q"
    page.keyboard.press("Escape")
    expect(page.locator("#q")).to_have_value("")


def test_who_goes_to_a_hit_before_the_last_answer_comes_stays_there(visit: Visit) -> None:
    page = visit.go("/?q=red")
    held: list[Route] = []

    def hold(route: "Route") -> None:
        held.append(route)

    page.route("**/search", hold)
    page.fill("#q", "red lamp")
    page.wait_for_function("() => document.querySelector('#busy:not([hidden])')")
    page.locator("#q").press("ArrowDown")
    page.keyboard.press("ArrowRight")
    gone_to = page.evaluate("document.activeElement.closest('.card').dataset.id")
    with page.expect_response(lambda answer: answer.url.endswith("/search")):
        held.pop().continue_()
    visit.settle()
    assert page.evaluate("document.activeElement.closest('.card')?.dataset.id") == gone_to
    assert gone_to in visit.ids()


def test_the_focus_does_not_come_back_after_it_went_on(visit: Visit) -> None:
    page = visit.go("/?q=red")
    page.locator(".card-link").first.click()
    expect(page.locator("#detail")).to_be_visible()
    where = page.evaluate(
        """async () => {
            document.querySelector("#detail .close").click();
            document.getElementById("q").focus();
            await new Promise((done) => setTimeout(done, 100));
            return document.activeElement.id;
        }"""
    )
    assert where == "q"


FOCUSED = "document.activeElement.closest('.card')?.dataset.id ?? document.activeElement.id"


def test_the_focus_goes_to_a_hit_where_the_item_that_was_open_is_none(visit: Visit) -> None:
    page = visit.go("/?q=red&f.colour=Red&item=yellow-vase")
    expect(page.locator("#detail h2")).to_have_text("Yellow vase")
    page.keyboard.press("Escape")
    expect(page.locator("#detail")).to_be_hidden()
    assert page.evaluate(FOCUSED) == visit.ids()[0]


def test_the_focus_stays_among_the_hits_when_one_steers(visit: Visit) -> None:
    page = visit.go("/?q=red")
    [first, *_] = visit.ids()
    page.locator(f".card[data-id={first}] .steer button").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator(f".card[data-id={first}]")).to_have_count(0)  # it is what is searched by now
    visit.settle()
    assert page.evaluate(FOCUSED) == visit.ids()[0]


def test_the_focus_goes_to_what_may_be_done_when_a_search_fails(visit: Visit) -> None:
    page = visit.go("/?q=red")
    page.route("**/search", lambda route: route.fulfill(status=500, json={"error": {"message": "It broke."}}))
    page.locator(".card .steer button").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Try again")).to_be_focused()
    visit.wrong.clear()  # the browser tells of each answer that was an error


def test_details_that_the_browser_closes_by_itself(visit: Visit) -> None:
    page = visit.go("/?q=red")
    page.locator(".card-link").first.click()
    expect(page.locator("#detail h2")).to_be_visible()
    assert "item=" in page.url
    page.evaluate("document.querySelector('#detail').close()")
    page.wait_for_function("() => !location.search.includes('item=')")
    assert page.evaluate(FOCUSED) == visit.ids()[0]


def test_everything_has_a_name(visit: Visit) -> None:
    """Each control says what it is to a screen reader, and Tab stops at one hit only."""
    page = visit.go("/?q=mug&like=red-bowl&f.colour=Red")
    visit.settle()
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, a, dialog")]
            .filter((e) => e.checkVisibility() && !e.ariaHidden)
            .filter((e) => !(e.getAttribute("aria-label") || e.getAttribute("aria-labelledby") || e.textContent.trim()
                || e.labels?.[0]?.textContent.trim()))
            .map((e) => e.outerHTML)"""
    )
    assert nameless == []
    assert page.locator(".card-link[tabindex='0']").count() == 1
    assert page.locator("img:not([alt])").count() == 0


def test_a_phone(visiting: Visiting) -> None:
    visit = visiting(size=PHONE, has_touch=True, is_mobile=True, device_scale_factor=2)
    page = visit.go("/?q=red+mug")
    visit.settle()
    expect(page.locator("#facets")).not_to_be_in_viewport()
    visit.shoot("phone")
    page.get_by_role("button", name="Narrow down").click()
    expect(page.locator("#facets")).to_be_in_viewport()
    page.locator(".facet", has_text="Colour").get_by_label(re.compile("^Green")).check()
    visit.shoot("phone-facets")
    page.get_by_role("button", name="Show 4 items").click()
    expect(page.locator("#facets")).not_to_be_in_viewport()
    expect(page.locator("#count")).to_contain_text("Best of 4 items")
    expect(page.get_by_role("button", name="Narrow down (1)")).to_be_visible()

    def fits() -> bool:
        return page.evaluate("document.documentElement.scrollWidth <= innerWidth && innerWidth === 390")

    assert fits()
    page.locator(".card-link").first.click()
    expect(page.locator("#detail .similar button").first).to_be_visible()
    assert page.locator("#detail").evaluate("d => d.scrollWidth <= d.clientWidth")
    visit.shoot("phone-detail")
    page.get_by_role("button", name="Close").last.click()
    page.goto(visit.base)
    expect(page.locator("#hero")).to_be_visible()
    assert fits()
    expect(page.locator("#hero")).to_contain_text("take a photo of it", use_inner_text=True)
    expect(page.locator("#hero")).not_to_contain_text("drop", use_inner_text=True)
    expect(page.locator("#q")).not_to_be_focused()  # or the keys would cover the page
    visit.shoot("phone-start")


def test_dark_and_light(visiting: Visiting) -> None:
    visit = visiting(color_scheme="dark")
    page = visit.go("/?q=red+mug")

    def brightness() -> int:
        return page.evaluate("Number(/\\d+/.exec(getComputedStyle(document.body).backgroundColor)[0])")

    assert brightness() < 60
    visit.shoot("dark")
    page.get_by_label("Light theme").click()
    assert brightness() > 200
    page.reload()
    assert brightness() > 200
    page.get_by_label("Dark theme").click()
    assert brightness() < 60


def test_nothing_moves_where_that_is_unwanted(visiting: Visiting) -> None:
    visit = visiting(reduced_motion="reduce")
    page = visit.go("/?q=red+mug")
    page.locator(".card-link").first.click()
    expect(page.locator(".why li").first).to_be_visible()
    long = page.evaluate("document.getAnimations().filter((a) => a.effect.getTiming().duration > 1).length")
    assert long == 0


def test_photos_have_their_place_before_they_come(visiting: Visiting) -> None:
    visit = visiting()
    page = visit.page
    page.route("**/photo?*", lambda route: (page.wait_for_timeout(300), route.continue_()))
    page.add_init_script(
        "window.moved = 0; new PerformanceObserver((list) => {"
        "for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.moved += entry.value;"
        "}).observe({ type: 'layout-shift', buffered: true });"
    )
    visit.go("/?q=red+mug")
    visit.settle()
    box = page.locator(".tile").first.bounding_box()
    assert box and abs(box["width"] - box["height"]) < 1
    assert page.evaluate("window.moved") < 0.1  # what browsers call good


def test_a_server_with_keys(visiting: Visiting, collections: tuple[Path, Path, Path], tmp_path: Path) -> None:
    key, kept = new_key("read", "page")
    (tmp_path / "keys").write_text(kept.line + "\n", encoding="utf-8")
    with serving(collections[0], api_key_file=tmp_path / "keys") as address:
        visit = visiting(address)
        page = visit.page
        page.goto(address)
        expect(page.locator("#ask")).to_be_visible()
        visit.shoot("key")
        page.get_by_label("API key").fill("not the key")
        page.get_by_role("button", name="Go on").click()
        expect(page.locator("#ask-why")).to_contain_text("That key is not one of this server's")
        page.get_by_label("API key").fill(key)
        page.get_by_role("button", name="Go on").click()
        expect(page.locator(".card img.there").first).to_be_visible()
        assert page.locator(".card img.there").first.get_attribute("src").startswith("blob:")  # type: ignore[union-attr]
        assert key not in page.content() and key not in page.url
        assert all("401" in wrong or wrong.endswith("/v1/collections") for wrong in visit.wrong)
        visit.wrong.clear()
        page.reload()
        expect(page.locator(".card img.there").first).to_be_visible()
        page.locator(".card-link").first.click()
        expect(page.locator("#detail .frame img.there")).to_be_visible()
        visit.leave()
