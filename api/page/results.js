// The search itself: hits page by page, and everything that is said about them.

import * as api from "./api.js";
import { card, notice, skeleton } from "./card.js";
import { $, announce, h } from "./dom.js";
import { firstLink, linkOf } from "./keyboard.js";
import { PAGE, queryOf, settled } from "./query.js";
import { asksSomething, go } from "./state.js";
import { count, plural, priceField } from "./words.js";

const grid = $("grid");
let shown = { hits: [], matched: 0, key: null }; // what stands in the grid
let running = null; // AbortController of the search in flight
let scrolling = null; // of the next page
let context = null; // {state, kinds, actions} of what stands in the grid

export const hits = () => shown.hits;
export const hitOf = (id) => shown.hits.find((hit) => hit.item_id === id) ?? null;
export const lastQuery = () => (context ? queryOf(context.asked, context.kinds) : null);

/** Shows the answer for a state; a search that is still running is given up. */
export async function search(state, kinds, actions) {
  running?.abort();
  scrolling?.abort();
  scrolling = null;
  const mine = (running = new AbortController());
  const asked = { ...state, q: settled(state.q) };
  const slow = setTimeout(() => waiting(true), shown.hits.length ? 180 : 0);
  try {
    const answer = await api.search(state.collection, queryOf(asked, kinds), mine.signal);
    if (mine.signal.aborted) return;
    context = { state, asked, kinds, actions };
    shown = { hits: answer.hits, matched: answer.matched };
    draw(answer);
  } catch (error) {
    if (error.name === "AbortError" || mine.signal.aborted) return;
    failed(error, () => search(state, kinds, actions), isNarrowed(state) && error.status === 422);
  } finally {
    clearTimeout(slow);
    if (running === mine) {
      running = null;
      waiting(false);
    }
  }
}

function waiting(now) {
  $("busy").hidden = !now;
  grid.classList.toggle("stale", now && shown.hits.length > 0);
  grid.setAttribute("aria-busy", String(now));
  if (now && !shown.hits.length) {
    $("notices").replaceChildren();
    grid.replaceChildren(...Array.from({ length: 12 }, skeleton));
  }
}

function draw(answer) {
  const { state, actions, kinds } = context;
  const old = new Map([...grid.children].map((node) => [node.dataset.id, node]));
  const focused = document.activeElement.closest("#grid .card")?.dataset.id; // its card goes, the focus must not
  const options = { priceName: priceField(kinds), actions };
  grid.replaceChildren(...answer.hits.map((hit) => fresh(hit, options, old.get(hit.item_id))));
  grid.classList.toggle("dim", answer.nothing_fits === true);
  if (grid.firstChild) grid.firstChild.querySelector("a").tabIndex = 0;
  if (focused) (linkOf(focused) ?? firstLink() ?? $("q")).focus({ preventScroll: true });
  $("notices").replaceChildren(...noticesFor(answer, state));
  $("count").replaceChildren(...told(answer, state));
  $("facets-show").textContent = `Show ${plural(answer.matched, "item")}`;
  announce($("count").textContent + (answer.nothing_fits ? ". Nothing really fits." : ""));
  paging();
}

/** A card that takes over the photo of the one that stood there for the same hit, so that it does not blink. */
function fresh(hit, options, before) {
  const made = card(hit, options);
  const photo = before?.querySelector("img.there");
  if (photo && before.dataset.photo === String(hit.photo)) made.querySelector(".tile").replaceChildren(photo);
  made.dataset.photo = String(hit.photo);
  return made;
}

function told(answer, state) {
  const asks = asksSomething(state);
  const many = h("strong", {
    text: asks ? `Best of ${plural(answer.matched, "item")}` : plural(answer.matched, "item"),
  });
  const time = h("span", {
    class: "took",
    text: ` · ${answer.took_ms < 10 ? answer.took_ms.toFixed(1) : Math.round(answer.took_ms)} ms`,
  });
  return answer.hits.length ? [many, asks ? time : ""] : [h("strong", { text: "No results" })];
}

function noticesFor(answer, state) {
  const made = [];
  if (!answer.hits.length) {
    if (isNarrowed(state))
      made.push(notice("empty", "Nothing passes these filters", answer.notes.join(" "), filtersOff()));
    else made.push(notice("empty", "This collection is empty", "Fill it with: catalens index YOUR-FOLDER"));
  } else if (answer.nothing_fits) {
    const said = settled(state.q);
    const title = said ? `Nothing here really fits “${said}”` : "Nothing here really fits";
    made.push(
      notice("unsure", title, "What follows is no better than what nonsense finds. It is the closest we have."),
    );
  }
  if (answer.hits.length && answer.notes.length) made.push(h("p", { class: "aside", text: answer.notes.join(" ") }));
  return made;
}

const isFinal = ({ status }) => status === 404 || status === 422; // the same again would be refused again
const isNarrowed = (state) => Object.keys(state.values).length + Object.keys(state.ranges).length > 0;
const filtersOff = () => button("Take all filters off", () => go({ values: {}, ranges: {} }));
const button = (text, onclick) => h("button", { class: "button", type: "button", text, onclick });

function failed(error, again, filtered) {
  const focused = grid.contains(document.activeElement);
  shown = { hits: [], matched: 0 };
  grid.replaceChildren();
  grid.classList.remove("dim");
  $("count").replaceChildren();
  $("more").hidden = true;
  $("end").hidden = true;
  $("notices").replaceChildren(
    notice(
      "error",
      error.message,
      error.hint,
      ...(isFinal(error) ? [] : [button("Try again", again)]),
      ...(filtered ? [filtersOff()] : []),
    ),
  );
  if (focused) ($("notices").querySelector("button") ?? $("q")).focus();
}

const isMore = () => shown.hits.length > 0 && shown.hits.length < shown.matched && !shown.ended;

function paging() {
  $("more").hidden = !isMore();
  $("more").textContent = "More";
  const end = !isMore() && shown.hits.length > PAGE;
  $("end").hidden = !end;
  if (end) $("end").textContent = `That was all: ${plural(shown.hits.length, "item")}.`;
}

/** The next page, under what is there. */
export async function more() {
  if (scrolling || running || !isMore()) return;
  const mine = (scrolling = new AbortController());
  const { asked, kinds, actions } = context;
  const ghosts = Array.from({ length: 6 }, skeleton);
  grid.append(...ghosts);
  try {
    const answer = await api.search(asked.collection, queryOf(asked, kinds, shown.hits.length), mine.signal);
    if (mine.signal.aborted) return;
    const known = new Set(shown.hits.map((hit) => hit.item_id)); // the collection may have changed between the pages
    const added = answer.hits.filter((hit) => !known.has(hit.item_id));
    shown = { hits: [...shown.hits, ...added], matched: answer.matched, ended: !added.length };
    for (const ghost of ghosts) ghost.remove();
    grid.append(...added.map((hit) => fresh(hit, { priceName: priceField(kinds), actions })));
    announce(`${plural(added.length, "more result")}, ${count(shown.hits.length)} in all`);
    paging();
  } catch (error) {
    for (const ghost of ghosts) ghost.remove();
    if (error.name === "AbortError" || mine.signal.aborted) return;
    $("more").textContent = `${error.message} Try again`;
    nearEnd.unobserve($("more")); // by hand from here on
  } finally {
    for (const ghost of ghosts) ghost.remove();
    if (scrolling === mine) scrolling = null;
  }
  if (scrolling === null && inSight()) more();
}

const inSight = () =>
  !$("more").hidden && $("more").textContent === "More" && $("more").getBoundingClientRect().top < innerHeight + 500;

const nearEnd = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && more(), {
  rootMargin: "500px",
});

$("more").addEventListener("click", () => {
  $("more").textContent = "More";
  more();
});
nearEnd.observe($("more"));
