// The parts of a search that stand beside the words in the box: photos, items, words to add or to take away.

import * as api from "./api.js";
import { $, h, icon, iconButton, toast } from "./dom.js";
import { picture } from "./picture.js";
import { photoOf } from "./photos.js";
import { go, state } from "./state.js";
import { number } from "./words.js";

/** What words to leave out count: a colour taken from a type, by photos, left 87 % of the best 8 right at 0, 96 % at 0.5
 * and 89 % at 1, where `shoes -sandals` finds no shoes any more. */
export const WITHOUT = -0.5;

const WEIGHTS = [0.3, 0.5, 1, 2, 3];
const looks = new Map(); // "collection/item" -> {title, photo}, for chips of items
let adding = 0; // +1 or -1 while words for a chip are typed
let toldMissing = "";

export const remember = (collection, hit) =>
  looks.set(`${collection}/${hit.item_id}`, { title: hit.title, photo: hit.photo });

/** Adds a part; one for the same thing gives way to it. */
export function add(part) {
  const others = state().parts.filter((old) => old.kind !== part.kind || old.value !== part.value);
  if (others.length >= 31) return toast("That is as many parts as one search takes.");
  go({ parts: [...others, part], open: null });
}

export function drawChips(now) {
  const row = $("chips");
  const asks = now.q.trim() || now.parts.length;
  const focused = row.contains(document.activeElement) ? document.activeElement.closest("[data-at]")?.dataset.at : null;
  row.replaceChildren(...now.parts.map((part, at) => chip(now, part, at)), ...(asks ? adders() : []));
  if (focused) (row.querySelector(`[data-at="${focused}"] button`) ?? row.querySelector("button"))?.focus();
  if (adding) row.querySelector("input")?.focus();
  sayMissing(now);
}

function chip(now, part, at) {
  const less = part.weight < 0;
  const { text, thumb, missing } = described(now, part);
  const weight = Math.abs(part.weight);
  const change = (parts) => go({ parts });
  const said = `${less ? "Less" : "More"}: ${text}`;
  return h(
    "span",
    {
      class: `chip ${less ? "less" : "plus"} ${missing ? "missing" : ""}`,
      role: "group",
      "aria-label": said,
      dataset: { at },
    },
    iconButton(
      less ? "minus" : "plus",
      less ? `${text}: more instead` : `${text}: less instead`,
      () => change(now.parts.with(at, { ...part, weight: -part.weight })),
      "sign",
    ),
    thumb && h("span", { class: "thumb" }, thumb),
    h("span", { class: "chip-text", text }),
    h("button", {
      class: "weight",
      type: "button",
      text: `×${number(weight)}`,
      title: "How much it counts",
      "aria-label": `Counts ${number(weight)} times; press to change`,
      onclick: () => change(now.parts.with(at, { ...part, weight: Math.sign(part.weight || 1) * next(weight) })),
    }),
    iconButton("close", `Take away: ${text}`, () => change(now.parts.toSpliced(at, 1)), "sign"),
  );
}

const next = (weight) => WEIGHTS.find((each) => each > weight) ?? WEIGHTS[0];

function described(now, part) {
  if (part.kind === "words") return { text: part.value };
  if (part.kind === "photo") {
    const photo = photoOf(part.value);
    if (!photo) return { text: "photo not here", thumb: icon("photo"), missing: true };
    const thumb = h("img", { src: photo.url, alt: "" });
    thumb.addEventListener("error", () => thumb.replaceWith(icon("photo"))); // HEIC, which few browsers draw
    return { text: "your photo", thumb };
  }
  const look = looks.get(`${now.collection}/${part.value}`);
  if (!look) lookUp(now.collection, part.value);
  return {
    text: look?.title || part.value,
    thumb: look?.photo ? picture(look.photo, { size: 96, eager: true }) : icon("photo"),
  };
}

async function lookUp(collection, id) {
  if (!collection) return;
  looks.set(`${collection}/${id}`, { title: id, photo: null });
  try {
    const item = await api.item(collection, id);
    looks.set(`${collection}/${id}`, { title: item.title, photo: item.photos[0]?.url ?? null });
    drawChips(state());
  } catch {
    // the search itself says what is wrong with it
  }
}

function adders() {
  if (adding) return [phrase()];
  const adder = (sign, text, name) =>
    h(
      "button",
      { class: "adder", type: "button", onclick: () => ((adding = sign), drawChips(state())) },
      icon(name),
      text,
    );
  return [adder(1, "also", "plus"), adder(-1, "without", "minus")];
}

function phrase() {
  const sign = adding;
  const close = () => {
    adding = 0;
    drawChips(state());
    $("chips")
      .querySelector(sign > 0 ? ".adder" : ".adder:last-child")
      ?.focus();
  };
  const input = h("input", {
    type: "text",
    maxLength: 200,
    placeholder: sign > 0 ? "leather" : "stripes",
    "aria-label": sign > 0 ? "Also" : "Without",
  });
  const form = h(
    "form",
    { class: `chip ${sign > 0 ? "plus" : "less"} typing` },
    icon(sign > 0 ? "plus" : "minus"),
    input,
    iconButton("close", "Never mind", close, "sign"),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const value = input.value.trim();
    adding = 0;
    if (value) add({ kind: "words", value, weight: sign > 0 ? 1 : WITHOUT });
    else close();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    close();
  });
  return form;
}

function sayMissing(now) {
  const missing = now.parts
    .filter((part) => part.kind === "photo" && !photoOf(part.value))
    .map((part) => part.value)
    .join();
  if (missing && missing !== toldMissing)
    toast(
      "This address was made with a photo, and photos do not travel in addresses. The rest of the search is here: drop the photo again to add it.",
    );
  toldMissing = missing;
}
