// One hit in the grid.

import { h, icon, iconButton } from "./dom.js";
import { picture } from "./picture.js";
import { state, toAddress } from "./state.js";
import { certainty, price } from "./words.js";

/** Bars and a word that say how sure a match is; nothing where that is not known. */
export function meter(confidence) {
  const sure = certainty(confidence);
  if (!sure) return null;
  const bars = [1, 2, 3].map((at) => h("i", { class: at <= sure.bars ? "on" : "" }));
  return h(
    "span",
    { class: `meter bars-${sure.bars}`, title: sure.means },
    h("span", { class: "bars", "aria-hidden": "true" }, bars),
    sure.word,
  );
}

/** A card for a hit. actions: {open, more, less}, each called with the hit. */
export function card(hit, { priceName, actions }) {
  const cost = priceName ? price(hit.attributes[priceName], hit.attributes) : "";
  const link = h(
    "a",
    {
      class: "card-link",
      href: toAddress({ ...state(), open: hit.item_id }),
      tabIndex: -1,
      onclick: (event) => {
        if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
        event.preventDefault();
        actions.open(hit);
      },
    },
    h("span", { class: "tile" }, picture(hit.photo, { alt: "" })),
    h("span", { class: "title", text: hit.title || hit.item_id }),
    h("span", { class: "facts" }, cost && h("span", { class: "price", text: cost }), meter(hit.confidence)),
  );
  const steer = h(
    "div",
    { class: "steer" },
    iconButton("plus", `More like ${hit.title || hit.item_id}`, () => actions.more(hit), "solid"),
    iconButton("minus", `Less like ${hit.title || hit.item_id}`, () => actions.less(hit), "solid"),
  );
  return h("li", { class: "card", dataset: { id: hit.item_id } }, link, steer);
}

export function skeleton() {
  return h(
    "li",
    { class: "card ghost", "aria-hidden": "true" },
    h("span", { class: "tile" }),
    h("span", { class: "line" }),
    h("span", { class: "line short" }),
  );
}

/** A message in place of results or above them. kind: `empty`, `unsure` or `error`. */
export function notice(kind, title, text, ...buttons) {
  const picture = { empty: "search", unsure: "nothing", error: "warn" }[kind];
  return h(
    "div",
    { class: `notice ${kind}`, role: kind === "error" ? "alert" : "note" },
    icon(picture),
    h(
      "div",
      {},
      h("h2", { text: title }),
      text && h("p", { text }),
      buttons.length ? h("div", { class: "buttons" }, buttons) : null,
    ),
  );
}
