// One item, large: photos, heat map, why it is here, what is like it.

import * as api from "./api.js";
import { meter } from "./card.js";
import { $, announce, h, icon, iconButton } from "./dom.js";
import { clauses, sentences } from "./explain.js";
import { picture, show } from "./picture.js";
import { asksSomething, go, state } from "./state.js";
import { label, price, priceField, shown } from "./words.js";

const dialog = $("detail");
let loading = null;
let cameFrom = null; // the element that had the focus

/** Shows the item that a state names, or closes. hits: those around it; query: of the search; actions: {more, less}. */
export async function detail(now, { kinds, hits, query, actions, animate = true }) {
  loading?.abort();
  if (now.open === null) return dialog.open && dialog.close();
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
  loading?.abort();
  const card = document.querySelector(`.card[data-id="${CSS.escape(shownId ?? "")}"] .card-link`);
  (card ?? cameFrom ?? $("q")).focus({ preventScroll: !card });
  dialog.replaceChildren();
  shownId = null;
});
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
  const stage = photos(context, item, hit, same ? dialog.querySelector(".stage img.there") : null);
  const about = h(
    "div",
    { class: "about" },
    facts(context, item, hit),
    steering(context, item, hit),
    whySection(context),
    table(item),
  );
  dialog.replaceChildren(
    ...[closeButton(), stage, about, h("section", { class: "similar", "aria-label": "Similar items" })].filter(Boolean),
  );
  if (!same) dialog.scrollTop = 0;
  const target = focused && [...dialog.querySelectorAll("button")].find((each) => each.className === focused);
  (target || dialog.querySelector(".close")).focus();
}

function steps({ hits, now }) {
  const at = hits.findIndex((hit) => hit.item_id === now.open);
  if (at < 0) return [];
  const step = (to, name, text, side) =>
    hits[to] ? iconButton(name, text, () => go({ open: hits[to].item_id }, { replace: true }), `step ${side}`) : null;
  return [step(at - 1, "left", "The one before", "before"), step(at + 1, "right", "The next one", "next")];
}

function photos(context, item, hit, already) {
  const best = item.photos.findIndex((photo) => photo.url === hit?.photo); // the one that won stands first
  const all = best > 0 ? [item.photos[best], ...item.photos.toSpliced(best, 1)] : item.photos;
  const [first] = all;
  const frame = h("div", { class: "frame" });
  const put = (photo) => {
    frame.dataset.photo = photo?.id ?? "";
    frame.dispatchEvent(new Event("photo"));
    const image = picture(photo?.url, { alt: item.title, size: 960, eager: true });
    if (photo?.width && photo.height) [image.width, image.height] = [photo.width, photo.height];
    frame.replaceChildren(image);
  };
  if (already && first) {
    const larger = picture(first.url, { alt: item.title, size: 960, eager: true });
    frame.dataset.photo = first.id ?? "";
    frame.replaceChildren(already);
    larger.addEventListener("load", () => already.isConnected && already.replaceWith(larger), { once: true });
  } else put(first);
  const thumbs =
    all.length > 1 &&
    h(
      "div",
      { class: "thumbs", role: "group", "aria-label": "Photos" },
      all.map((photo, at) =>
        h(
          "button",
          { type: "button", "aria-label": `Photo ${at + 1}`, onclick: () => put(photo) },
          picture(photo.url, { size: 160 }),
        ),
      ),
    );
  const canHeat = first?.id && asksSomething(context.now) && context.query?.parts?.length;
  return h(
    "div",
    { class: "stage" },
    h("div", { class: "pin" }, frame, steps(context), canHeat && heatButton(context, frame), thumbs),
  );
}

function heatButton({ now, query, signal }, frame) {
  let map = null;
  frame.addEventListener("photo", () => {
    map = null;
    button.setAttribute("aria-pressed", "false");
  });
  const button = h(
    "button",
    { class: "button heat", type: "button", "aria-pressed": "false" },
    icon("heat"),
    h("span", { text: "Where it matches" }),
  );
  const label = button.querySelector("span");
  button.addEventListener("click", async () => {
    if (map?.isConnected) {
      map.remove();
      button.setAttribute("aria-pressed", "false");
      return;
    }
    button.disabled = true;
    label.textContent = "Looking…";
    try {
      if (!map) {
        const made = h("img", { class: "heat-map", alt: "Heat map: warm places match the search best" });
        await show(
          made,
          await api.heatMap(now.collection, { parts: query.parts }, now.open, frame.dataset.photo, signal),
        );
        map = made;
      }
      frame.append(map);
      button.setAttribute("aria-pressed", "true");
      label.textContent = "Where it matches";
    } catch (error) {
      if (error.name === "AbortError") return;
      label.textContent = error.message;
    } finally {
      button.disabled = false;
      if (document.activeElement === document.body) button.focus();
    }
  });
  return button;
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

function table(item) {
  const texts = Object.entries(item.texts ?? {}).filter(([name, text]) => text && name !== "title");
  const rows = Object.entries(item.attributes).filter(
    ([name, value]) => value !== null && value !== "" && !(name in (item.texts ?? {})),
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
