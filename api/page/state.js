// What is asked, as one value; its address; and how the page is told of changes.
//
//   collection  name, or null for the first          q        words in the box
//   parts       [{kind: "words" | "item" | "photo", value, weight}], the chips; a negative weight takes away
//   by          "hybrid" | "image" | "text"          sort     "" for the best match, else a field, "-field" descending
//   values      {field: [value]}, any of them        ranges   {field: {low, high, below}}, the highest number itself in
//               it or, as the server's own ranges have it, only what is below; null for open ends
//   open        id of the item in the detail view, or null

/** Something for each of some fields, whose names are the catalogue's: one may be `constructor`, or `__proto__`. */
const byField = (given) => Object.assign(Object.create(null), given);

export const PLAIN = { collection: null, q: "", parts: [], by: "hybrid", sort: "", values: {}, ranges: {}, open: null };

const WEIGHT = /^(\d+(?:\.\d+)?|\.\d+):(?=.)/s; // `2:leather`, as on the command line
const KINDS = {
  with: ["words", 1],
  without: ["words", -1],
  like: ["item", 1],
  unlike: ["item", -1],
  photo: ["photo", 1],
  "photo-unlike": ["photo", -1],
};

/** The query part of an address, `?c=shop&q=red+dress&without=stripes&f.colour=Red&min.price=10`. */
export function toAddress(state) {
  const address = new URLSearchParams();
  if (state.collection) address.set("c", state.collection);
  if (state.q.trim()) address.set("q", state.q.trim());
  for (const part of state.parts) {
    const name = Object.keys(KINDS).find(
      (key) => KINDS[key][0] === part.kind && KINDS[key][1] === Math.sign(part.weight || 1),
    );
    const weight = Math.abs(part.weight);
    address.append(name, weight === 1 && !WEIGHT.test(part.value) ? part.value : `${weight}:${part.value}`);
  }
  if (state.by !== PLAIN.by) address.set("by", state.by);
  if (state.sort) address.set("sort", state.sort);
  for (const [field, values] of Object.entries(state.values))
    for (const value of values) address.append(`f.${field}`, value);
  for (const [field, { low, high, below }] of Object.entries(state.ranges)) {
    if (low !== null) address.set(`min.${field}`, low);
    if (high !== null) address.set(`${below ? "below" : "max"}.${field}`, high);
  }
  if (state.open !== null) address.set("item", state.open);
  const text = address.toString();
  return text ? `?${text}` : location.pathname;
}

/** The state that an address stands for. What makes no sense there is left out. */
export function fromAddress(text) {
  const address = new URLSearchParams(text);
  const state = { ...PLAIN, parts: [], values: byField(), ranges: byField() };
  state.collection = address.get("c");
  state.q = (address.get("q") ?? "").slice(0, 2000);
  if (["image", "text"].includes(address.get("by"))) state.by = address.get("by");
  state.sort = address.get("sort") ?? "";
  state.open = address.get("item");
  for (const [name, given] of address) {
    if (Object.hasOwn(KINDS, name) && given) {
      const [kind, sign] = KINDS[name];
      const found = WEIGHT.exec(given);
      const weight = found ? Math.min(Number(found[1]), 1000) : 1;
      state.parts.push({ kind, value: found ? given.slice(found[0].length) : given, weight: sign * weight });
    }
    const [, prefix, field] = /^(f|min|max|below)\.(.+)$/s.exec(name) ?? [];
    if (prefix === "f") (state.values[field] ??= []).push(given);
    const number = Number(given);
    if (prefix && prefix !== "f" && given.trim() && Number.isFinite(number)) {
      state.ranges[field] ??= { low: null, high: null, below: false };
      if (prefix === "min") state.ranges[field].low = number;
      else Object.assign(state.ranges[field], { high: number, below: prefix === "below" });
    }
  }
  state.parts = state.parts.slice(0, 31);
  return state;
}

/** Is there anything that is searched for, besides filters? */
export const asksSomething = (state) => Boolean(state.q.trim()) || state.parts.length > 0;

const listeners = [];
let current = fromAddress(location.search);
let typedAt = 0;

export const state = () => current;
export const onChange = (listener) => listeners.push(listener);

/** Changes the state and the address. typing: keystrokes that follow each other share one step of the history. */
export function go(patch, { typing = false, replace = false } = {}) {
  const before = current;
  current = { ...current, ...patch };
  Object.assign(current, { values: byField(current.values), ranges: byField(current.ranges) });
  const address = toAddress(current);
  const goesOn = typing && Date.now() - typedAt < 2500;
  typedAt = typing ? Date.now() : 0;
  if (address !== toAddress(before)) history[replace || goesOn ? "replaceState" : "pushState"](null, "", address);
  for (const listener of listeners) listener(current, before);
}

addEventListener("popstate", () => {
  const before = current;
  current = fromAddress(location.search);
  typedAt = 0;
  for (const listener of listeners) listener(current, before);
});
