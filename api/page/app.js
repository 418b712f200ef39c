// The page: what happens when the state changes, and what changes the state.

import * as api from "./api.js";
import { notice } from "./card.js";
import { add, drawChips, remember, WITHOUT } from "./chips.js";
import { detail } from "./detail.js";
import { $, announce, debounce, h, toast } from "./dom.js";
import { drawExamples } from "./examples.js";
import { drawApplied, learn, recount } from "./facets.js";
import { ask } from "./key.js";
import "./keyboard.js";
import { listenForPhotos, takeIn } from "./photos.js";
import { readTyped, searchKey, settled } from "./query.js";
import { hits, lastQuery, search } from "./results.js";
import { asksSomething, go, onChange, PLAIN, state } from "./state.js";
import { drawTheme } from "./switch.js";
import { count, label, priceField } from "./words.js";

const TYPING = 150; // ms without a keystroke until the search runs
const LESS = -0.3; // what an item that hits should be unlike counts: with more, it alone decides

let all = []; // the server's collections
let current = null; // {name, items, kinds, fields} of the one that is searched
let searched = null; // key of the search whose answer is shown or under way
const box = $("q");

const actions = {
  open: (hit) => go({ open: hit.item_id }),
  more: (hit) => steer(hit, 1),
  less: (hit) => steer(hit, asksSomething(state()) ? LESS : -1),
};

function steer(hit, weight) {
  remember(state().collection, hit);
  add({ kind: "item", value: hit.item_id, weight });
  announce(weight > 0 ? `More like ${hit.title}` : `Less like ${hit.title}`);
  scrollTo({ top: 0 });
}

async function start() {
  api.onKeyNeeded(ask);
  drawTheme();
  try {
    ({ collections: all } = await api.collections());
  } catch (error) {
    return broken(error, start);
  }
  if (!all.length)
    return broken(
      new api.ApiError("This server has no collection.", { hint: "Start it with: catalens serve --collection FOLDER" }),
      start,
    );
  const { words, without } = readTyped(state().q, true); // an address may hold what somebody would type
  const patch = without.length ? { q: words, parts: [...state().parts, ...without.map(minus)] } : {};
  if (!all.some(({ name }) => name === state().collection)) {
    if (state().collection !== null)
      toast(`There is no collection “${state().collection}” here. This is ${all[0].name}.`);
    patch.collection = all[0].name;
  }
  if (Object.keys(patch).length) go(patch, { replace: true });
  else changed(state(), PLAIN);
  const idle = !asksSomething(state()) && state().open === null && document.activeElement === document.body;
  if (idle && matchMedia("(hover: hover) and (pointer: fine)").matches) box.focus(); // on a phone it would bring up the keys
}

const minus = (value) => ({ kind: "words", value, weight: WITHOUT });

function broken(error, again) {
  document.body.classList.remove("starting");
  const retry = h("button", { class: "button", type: "button", text: "Try again", onclick: again });
  $("grid").replaceChildren();
  $("notices").replaceChildren(notice("error", error.message, error.hint, retry));
}

async function changed(now, before) {
  if (now.collection === null && all.length) return go({ collection: all[0].name }, { replace: true });
  if (document.activeElement !== box || before.q === settled(box.value)) box.value = keepTyped(now.q);
  $("clear").hidden = !box.value;
  document.body.classList.toggle("asking", asksSomething(now));
  document.title = [now.q || (now.parts.length ? "Search" : ""), now.collection, "Catalens"]
    .filter(Boolean)
    .join(" · ");
  drawCollections(now);
  drawChips(now);
  drawHero(now);
  document.body.classList.remove("starting"); // from here on nothing moves
  if (current?.name !== now.collection && !(await enter(now))) return;
  if (now !== state()) return; // what came meanwhile draws the rest
  drawApplied(now);
  drawControls(now);
  recount(now, current.kinds);
  const key = searchKey(now);
  if (key !== searched) {
    searched = key;
    const first = !before.collection;
    const other = now.q !== before.q || now.parts !== before.parts; // a facet near the top stays under the pointer
    if (!first && scrollY > (other ? 0 : 200)) scrollTo({ top: 0 });
    await search(now, current.kinds, actions);
    if (searched !== key) return;
    if (!$("hero").hidden) drawExamples(current.fields, hits());
  }
  if (now !== state()) return;
  if (now.open !== before.open || now.open !== null) {
    detail(now, { kinds: current.kinds, hits: hits(), query: lastQuery(), actions, animate: before.open === null });
  }
}

/** What stands in the box while it is typed in stays: `shirt ` with its blank, `shirt -stri` unfinished. */
const keepTyped = (q) => (document.activeElement === box && settled(box.value) === q ? box.value : q);

/** Looks at a collection when it is entered. Says whether that went well. */
async function enter(now) {
  const name = now.collection;
  try {
    const about = await api.collection(name);
    const kinds = Object.fromEntries(about.fields.map((field) => [field.name, field.type]));
    const fields = await learn(about, about.fields);
    if (state().collection !== name) return false;
    current = { name, items: about.items, kinds, fields };
    drawSorts(kinds);
    return true;
  } catch (error) {
    broken(error, () => changed(state(), PLAIN));
    return false;
  }
}

/** The invitation stands where nothing is asked. Its place is there before its examples are. */
function drawHero(now) {
  const plain = !asksSomething(now) && !Object.keys(now.values).length && !Object.keys(now.ranges).length && !now.sort;
  $("hero").hidden = !plain || all.find(({ name }) => name === now.collection)?.items === 0;
}

function drawCollections(now) {
  const tab = ({ name, items }) =>
    h(
      "button",
      {
        type: "button",
        "aria-current": name === now.collection ? "true" : undefined,
        onclick: () =>
          go({
            ...PLAIN,
            q: state().q,
            by: state().by,
            collection: name,
            parts: state().parts.filter((part) => part.kind !== "item"),
          }),
      },
      h("span", { text: label(name) }),
      h("small", { text: count(items) }),
    );
  $("collections").replaceChildren(...all.map(tab));
  $("collections").hidden = all.length < 2;
}

function drawSorts(kinds) {
  const numbers = Object.keys(kinds).filter((name) => kinds[name] === "number" && !["photos"].includes(name));
  const first = priceField(kinds);
  numbers.sort((a, b) => (b === first) - (a === first));
  const options = numbers.slice(0, 3).flatMap((name) => [
    [name, `${label(name)}: low to high`],
    [`-${name}`, `${label(name)}: high to low`],
  ]);
  $("sort").replaceChildren(...[["", "Best match"], ...options].map(([value, text]) => h("option", { value, text })));
  $("sort-label").hidden = !options.length;
}

function drawControls(now) {
  for (const radio of document.querySelectorAll("#by input")) radio.checked = radio.value === now.by;
  $("by").classList.toggle("idle", !asksSomething(now));
  $("sort").options[0].textContent = asksSomething(now) ? "Best match" : "As they come";
  $("sort").value = now.sort;
}

// Typing.

const typed = debounce(TYPING, () => take(false));

function take(done) {
  const { words, without } = readTyped(box.value, done);
  if (without.length || done) box.value = done ? words.trim() : words;
  const added = without.map(minus);
  const parts = [
    ...state().parts.filter((old) => !added.some((part) => part.value === old.value && old.kind === "words")),
    ...added,
  ];
  go({ q: settled(box.value), parts: added.length ? parts : state().parts, open: null }, { typing: !added.length });
}

box.addEventListener("input", () => {
  $("clear").hidden = !box.value;
  typed();
});
box.addEventListener("keydown", (event) => {
  if (event.key === "/" && !box.value) event.preventDefault(); // who goes to the box with it is there already
  if (event.key !== "Escape") return;
  if (box.value) clear();
  else box.blur();
});
box.addEventListener("blur", () => {
  if (settled(box.value) === box.value.trim()) return; // else `shirt -stripes`, and on to something else
  typed.cancel();
  take(true);
});
$("search").addEventListener("submit", (event) => {
  event.preventDefault();
  typed.cancel();
  take(true);
});

function clear() {
  box.value = "";
  typed.cancel();
  take(false);
  box.focus();
}
$("clear").addEventListener("pointerdown", (event) => event.preventDefault()); // the box keeps the focus
$("clear").addEventListener("click", clear);

// Photos.

async function takePhotos(files) {
  for (const file of files.slice(0, 4)) {
    try {
      add({ kind: "photo", value: await takeIn(file), weight: 1 });
    } catch (error) {
      toast(error.message);
    }
  }
}
listenForPhotos($("drop"), takePhotos);
$("choose").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => {
  takePhotos([...$("file").files]);
  $("file").value = "";
});

// The rest.

$("by").addEventListener("change", (event) => go({ by: event.target.value }));
$("sort").addEventListener("change", (event) => go({ sort: event.target.value }));
document.querySelector(".brand").addEventListener("click", (event) => {
  event.preventDefault();
  box.value = "";
  go({ ...PLAIN, collection: state().collection });
  box.focus();
});

const behind = ".skip, .top, .under, .hero, main"; // what lies behind the drawer with the facets, on a phone

function drawer(open) {
  if (open === document.body.classList.contains("drawer")) return;
  document.body.classList.toggle("drawer", open);
  for (const part of document.querySelectorAll(behind)) part.inert = open;
  $("facets-open").setAttribute("aria-expanded", String(open));
  $(open ? "facets-close" : "facets-open").focus();
}
$("facets-open").addEventListener("click", () => drawer(true));
for (const id of ["facets-close", "facets-show"]) $(id).addEventListener("click", () => drawer(false));
document.addEventListener("keydown", (event) => event.key === "Escape" && drawer(false));
document.addEventListener("click", (event) => event.target === document.body && drawer(false));
matchMedia("(max-width: 760px)").addEventListener("change", () => drawer(false));

onChange(changed);
start();
