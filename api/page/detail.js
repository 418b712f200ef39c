// One item, large: its photos, why it is here, what is like it.

import * as api from "./api.js";
import { meter } from "./card.js";
import { $, announce, h, icon, iconButton } from "./dom.js";
import { clauses, sentences } from "./explain.js";
import { firstLink, focusHit, linkOf } from "./keyboard.js";
import { picture } from "./picture.js";
import { stage } from "./stage.js";
import { asksSomething, go } from "./state.js";
import { label, price, priceField, shown } from "./words.js";

const dialog = $("detail");
let loading = null;
let cameFrom = null; // the element that had the focus

/** Shows the item that a state names, or closes. hits: those around it; query: of the search; actions: {more, less}. */
export async function detail(now, { kinds, hits, query, actions, animate = true }) {
  loading?.abort();
  if (now.open === null) return dialog.open && leave();
  const mine = (loading = new AbortController());
  const context = { now, kinds, hits, query, actions, signal: mine.signal };
  if (!dialog.open) {
    cameFrom = document.activeElement;
    dialog.classList.toggle("still", !animate);
    dialog.showModal();
  }
  const hit = hits.find((each) => each.item_id === now.open);
  draw(
    context,
    hit
      ? { item_id: hit.item_id, title: hit.title, attributes: hit.attributes, texts: {}, photos: [{ url: hit.photo }] }
      : null,
    hit,
  );
  try {
    const item = await api.item(now.collection, now.open, mine.signal);
    draw(context, item, hit);
    announce(`${item.title}, opened`);
    await Promise.all([similar(context), why(context)]);
  } catch (error) {
    if (error.name === "AbortError" || mine.signal.aborted) return;
    const again = h("button", {
      class: "button",
      type: "button",
      text: "Try again",
      onclick: () => detail(now, { kinds, hits, query, actions }),
    });
    dialog.replaceChildren(
      closeButton(),
      h(
        "div",
        { class: "notice error", role: "alert" },
        icon("warn"),
        h(
          "div",
          {},
          h("h2", { id: "detail-title", text: error.message }),
          error.hint && h("p", { text: error.hint }),
          again,
        ),
      ),
    );
  }
}

const close = () => go({ open: null });
const closeButton = () => iconButton("close", "Close", close, "close");

dialog.addEventListener("cancel", (event) => {
  event.preventDefault(); // Esc: the address changes, and that closes it
  close();
});
dialog.addEventListener("click", (event) => event.target === dialog && close());
dialog.addEventListener("close", () => {
  if (shownId === null || dialog.open) return;
  leave(); // the browser closed it by itself, as Chrome does at a second Esc without a click between
  close();
});

/** At once: the event `close` comes later, when somebody may have moved the focus on. */
function leave() {
  loading?.abort();
  dialog.close();
  const card = linkOf(shownId ?? "");
  const before = cameFrom?.isConnected && cameFrom !== document.body ? cameFrom : null;
  if (card) focusHit(card);
  else (before ?? firstLink() ?? $("q")).focus({ preventScroll: true });
  dialog.replaceChildren();
  shownId = null;
}

dialog.addEventListener("keydown", (event) => {
  if (event.target.closest("input, select") || event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key === "ArrowRight") dialog.querySelector(".step.next")?.click();
  if (event.key === "ArrowLeft") dialog.querySelector(".step.before")?.click();
});

let shownId = null;

function draw(context, item, hit) {
  const same = shownId === context.now.open && dialog.childElementCount > 0;
  shownId = context.now.open;
  if (!item) {
    dialog.replaceChildren(
      closeButton(),
      h("div", { class: "stage" }),
      h("div", { class: "about" }, h("h2", { id: "detail-title", text: "…" })),
    );
    return;
  }
  const focused = same && dialog.contains(document.activeElement) ? document.activeElement.className : null;
  const shot = stage(context, item, hit, same ? dialog.querySelector(".stage img.there") : null);
  const about = h(
    "div",
    { class: "about" },
    facts(context, item, hit),
    steering(context, item, hit),
    whySection(context),
    table(item, priceField(context.kinds)),
  );
  dialog.replaceChildren(
    ...[closeButton(), shot, about, h("section", { class: "similar", "aria-label": "Similar items" })].filter(Boolean),
  );
  if (!same) dialog.scrollTop = 0;
  const target = focused && [...dialog.querySelectorAll("button")].find((each) => each.className === focused);
  (target || dialog.querySelector(".close")).focus();
}

function facts({ kinds }, item, hit) {
  const name = priceField(kinds);
  const cost = name ? price(item.attributes[name], item.attributes) : "";
  return [
    h("h2", { id: "detail-title", text: item.title || item.item_id }),
    h("p", { class: "facts" }, cost && h("span", { class: "price", text: cost }), hit && meter(hit.confidence)),
  ];
}

function steering({ actions, now }, item, hit) {
  const one = hit ?? { item_id: item.item_id, title: item.title, photo: item.photos[0]?.url ?? null };
  const asks = asksSomething(now);
  return h(
    "div",
    { class: "buttons" },
    h(
      "button",
      { class: "button solid", type: "button", onclick: () => actions.more(one) },
      icon("plus"),
      "More like this",
    ),
    asks &&
      h(
        "button",
        { class: "button", type: "button", onclick: () => actions.less(one) },
        icon("minus"),
        "Less like this",
      ),
  );
}

const whySection = ({ query, now }) =>
  query?.parts?.length && asksSomething(now)
    ? h(
        "section",
        { class: "why" },
        h("h3", { text: "Why it is here" }),
        h("div", { class: "ghost-lines", "aria-hidden": "true" }, h("i"), h("i"), h("i")),
      )
    : null;

async function why({ now, query, hits, signal }) {
  const section = dialog.querySelector(".why");
  if (!section) return;
  const rank = hits.findIndex((hit) => hit.item_id === now.open) + 1;
  try {
    const told = await api.explain(
      now.collection,
      { ...query, offset: 0, k: Math.max(query.k, rank) },
      now.open,
      signal,
    );
    section.replaceChildren(
      h("h3", { text: "Why it is here" }),
      h(
        "ul",
        {},
        sentences(told).map((text) => h("li", { text })),
        clauses(told),
      ),
    );
  } catch (error) {
    if (error.name !== "AbortError")
      section.replaceChildren(h("h3", { text: "Why it is here" }), h("p", { class: "aside", text: error.message }));
  }
}

function table(item, priceName) {
  const texts = Object.entries(item.texts ?? {}).filter(([name, text]) => text && name !== "title");
  const rows = Object.entries(item.attributes).filter(
    ([name, value]) => value !== null && value !== "" && name !== priceName && !Object.hasOwn(item.texts ?? {}, name),
  );
  return [
    texts.map(([name, text]) => h("section", { class: "text" }, h("h3", { text: label(name) }), h("p", { text }))),
    h(
      "section",
      { class: "table" },
      h("h3", { text: "Details" }),
      h(
        "dl",
        {},
        [...rows, ["id", item.item_id]].map(([name, value]) =>
          h("div", {}, h("dt", { text: label(name) }), h("dd", { text: shown(value) })),
        ),
      ),
    ),
  ].flat();
}

async function similar({ now, signal }) {
  const section = dialog.querySelector(".similar");
  try {
    const answer = await api.similar(now.collection, now.open, 12, signal);
    const found = answer.hits.filter((hit) => hit.item_id !== now.open);
    if (!found.length) return;
    const one = (hit) =>
      h(
        "button",
        { type: "button", title: hit.title, onclick: () => go({ open: hit.item_id }) },
        h("span", { class: "tile" }, picture(hit.photo, { size: 240 })),
        h("span", { class: "title", text: hit.title || hit.item_id }),
      );
    section.replaceChildren(h("h3", { text: "Looks like it" }), h("div", { class: "strip" }, found.map(one)));
  } catch (error) {
    if (error.name !== "AbortError") section.replaceChildren(h("p", { class: "aside", text: error.message }));
  }
}
