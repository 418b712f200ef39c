// Which fields narrow a search down, with how many items each value leaves, and what is chosen of them.

import * as api from "./api.js";
import { swatch } from "./colours.js";
import { $, h, icon } from "./dom.js";
import { facetRequest, filterOf } from "./query.js";
import { rangeFacet } from "./range.js";
import { go, state } from "./state.js";
import { count, label, number, priceField, shown } from "./words.js";

const FEW = 7; // values that are shown before "all of them"
const LONG = 15; // values from which on a list can be looked through by typing
const MOST = 200; // values that are asked for
const FIELDS = 24; // fields that are looked at
const SHOWN = 9;
const ORDER = [/categor|department/i, /type|kind/i, /brand|maker/i, /colou?r/i, /size/i, /gender/i]; // what shops ask first

const expanded = new Set();
const opened = new Map(); // field -> whether its part of the list is open
let known = []; // [{name, type, base}] of the collection
let counting = null;
let countedFor = null;

/** Looks at the fields of a collection and keeps those that narrow down well. */
export async function learn(collection, fields) {
  const own = fields.filter(({ name }) => !["item_id", "title", "photos"].includes(name)).slice(0, FIELDS);
  known = [];
  countedFor = null;
  $("facet-list").replaceChildren();
  if (own.length) {
    const requests = own.map(({ name, type }) => facetRequest(name, type === "number" ? 0 : MOST));
    const { facets } = await api.facets(collection.name, requests, null);
    const found = new Map(facets.map((facet) => [facet.field, facet]));
    known = own
      .map((field) => ({ ...field, base: found.get(field.name) }))
      .filter((field) => narrows(field, collection.items));
    const price = priceField(Object.fromEntries(own.map(({ name, type }) => [name, type])));
    const rank = (found) => (found < 0 ? ORDER.length : found);
    const place = ({ name }) => (name === price ? -1 : rank(ORDER.findIndex((pattern) => pattern.test(name))));
    known.sort((a, b) => place(a) - place(b));
    known = known.slice(0, SHOWN);
  }
  $("facets-open").hidden = !known.length;
  document.body.classList.toggle("no-facets", !known.length);
  return known;
}

function narrows({ name, type, base }, items) {
  if (!base || base.missing > items * 0.9) return false;
  if (type === "number") return base.low !== null && base.low < base.high && !/(^|[_-])id$/i.test(name);
  if (base.distinct < 2 || isProse(base.values)) return false;
  // Where the most frequent values are few items each, as of part numbers, they are no help.
  const held = base.values.slice(0, 20).reduce((sum, { count }) => sum + count, 0);
  return base.distinct <= 40 || held >= 0.25 * (items - base.missing);
}

/** Sentences, such as descriptions: nobody chooses among them. */
function isProse(values) {
  const long = values.filter(({ value }) => String(value).length > 60 || String(value).split(/\s+/).length > 5);
  return long.length > values.length / 3;
}

/** Counts anew where the filter is another one, and draws. */
export async function recount(now, kinds) {
  const key = JSON.stringify([now.collection, now.values, now.ranges]);
  if (key === countedFor || !known.length) return;
  countedFor = key;
  counting?.abort();
  const mine = (counting = new AbortController());
  const chosen = known.filter(({ name }) => now.values[name]?.length || now.ranges[name]);
  const others = known.filter((field) => !chosen.includes(field));
  const ask = (fields, filter) =>
    fields.length
      ? api.facets(
          now.collection,
          fields.map(({ name, type }) => facetRequest(name, type === "number" ? 0 : MOST)),
          filter,
          mine.signal,
        )
      : { facets: [] };
  try {
    // A field's own choice does not count for its other values: whoever takes red may still take blue as well.
    const answers = await Promise.all([
      ask(others, filterOf(now, kinds)),
      ...chosen.map((field) => ask([field], filterOf(now, kinds, field.name))),
    ]);
    draw(new Map(answers.flatMap((answer) => answer.facets).map((facet) => [facet.field, facet])));
  } catch (error) {
    if (error.name === "AbortError") return;
    countedFor = null;
    draw(new Map(known.map(({ name, base }) => [name, base])));
  }
}

function draw(found) {
  const list = $("facet-list");
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
  list.replaceChildren(...known.filter(({ name }) => found.has(name)).map((field, at) => section(field, found, at)));
  if (focused) list.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
  function section(field, facets, at) {
    const facet = facets.get(field.name);
    const chosen = state().values[field.name] ?? [];
    const body = field.type === "number" ? rangeFacet(field, facet) : values(field, facet, chosen);
    const used = chosen.length || state().ranges[field.name];
    const part = h(
      "details",
      { class: "facet", open: opened.get(field.name) ?? (used || at < 5) },
      h(
        "summary",
        {},
        h("span", { text: label(field.name) }),
        used ? h("span", { class: "dot", title: "in use" }) : null,
        icon("right"),
      ),
      body,
    );
    part.addEventListener("toggle", () => opened.set(field.name, part.open));
    return part;
  }
}

function values(field, facet, chosen) {
  const counts = new Map(facet.values.map(({ value, count }) => [String(value), count]));
  const all = [...new Set([...chosen, ...field.base.values.map(({ value }) => String(value))])];
  const there = all
    .filter((value) => chosen.includes(value) || counts.get(value))
    .sort((a, b) => (counts.get(b) ?? 0) - (counts.get(a) ?? 0));
  const first = expanded.has(field.name) ? there : there.filter((value, at) => at < FEW || chosen.includes(value));
  const box = (value) =>
    h(
      "label",
      { class: "value" },
      h("input", {
        type: "checkbox",
        checked: chosen.includes(value),
        dataset: { focus: `${field.name}=${value}` },
        onchange: (event) => choose(field.name, value, event.target.checked),
      }),
      swatch(field.name, value),
      h("span", { class: "name", text: field.type === "bool" ? shown(value === "true") : value }),
      h("span", { class: "many", text: count(counts.get(value) ?? 0) }),
    );
  const rest = there.length - first.length;
  const toggle =
    (rest > 0 || expanded.has(field.name)) && there.length > FEW
      ? h("button", {
          class: "link",
          type: "button",
          text: rest > 0 ? `${count(rest)} more` : "Fewer",
          dataset: { focus: `${field.name}:more` },
          onclick: () => {
            if (!expanded.delete(field.name)) expanded.add(field.name);
            body.replaceWith(values(field, facet, state().values[field.name] ?? []));
          },
        })
      : null;
  const boxes = first.map(box);
  const body = h(
    "div",
    { class: "values", role: "group", "aria-label": label(field.name) },
    boxes.length > LONG ? finder(field, boxes) : null,
    boxes,
    toggle,
  );
  return body;
}

/** A box that leaves only the values with these letters in them. */
function finder(field, boxes) {
  const input = h("input", {
    class: "find",
    type: "text",
    placeholder: "Find",
    "aria-label": `Find among ${label(field.name)}`,
    dataset: { focus: `${field.name}:find` },
  });
  input.addEventListener("input", () => {
    const wanted = input.value.trim().toLowerCase();
    for (const each of boxes) each.hidden = !each.querySelector(".name").textContent.toLowerCase().includes(wanted);
  });
  return input;
}

function choose(name, value, on) {
  const before = state().values[name] ?? [];
  const now = on ? [...before, value] : before.filter((each) => each !== value);
  const { [name]: _, ...others } = state().values;
  go({ values: now.length ? { ...others, [name]: now } : others });
}

/** The filters in use as small buttons that take them off. */
export function drawApplied(now) {
  const made = [];
  const off = (text, act) =>
    made.push(
      h(
        "button",
        { class: "pill", type: "button", "aria-label": `Take off: ${text}`, onclick: act },
        text,
        icon("close"),
      ),
    );
  for (const [name, chosen] of Object.entries(now.values))
    for (const value of chosen) off(`${label(name)}: ${value}`, () => choose(name, value, false));
  for (const [name, { low, high, below }] of Object.entries(now.ranges)) {
    const upto = below ? "under" : "up to";
    const text =
      low === null
        ? `${upto} ${number(high)}`
        : high === null
          ? `from ${number(low)}`
          : `${number(low)} to ${number(high)}`;
    off(`${label(name)} ${text}`, () => {
      const { [name]: _, ...others } = state().ranges;
      go({ ranges: others });
    });
  }
  if (made.length > 1)
    made.push(
      h("button", { class: "link", type: "button", text: "Clear all", onclick: () => go({ values: {}, ranges: {} }) }),
    );
  $("applied").replaceChildren(...made);
  const used = Object.values(now.values).flat().length + Object.keys(now.ranges).length;
  $("facets-open").querySelector("span").textContent = used ? `Narrow down (${used})` : "Narrow down";
}
