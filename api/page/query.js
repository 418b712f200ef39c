// From the state to what the server understands: its JSON query and its filter grammar.

import { photoOf } from "./photos.js";
import { asksSomething } from "./state.js";

export const PAGE = 24;
export const EVERYTHING = "item_id is not null"; // a listing needs a filter or an order: this one leaves nothing out

const BARE = /^[\p{L}_][\p{L}\p{N}_.-]*$/u;
const KEYWORDS = new Set(["and", "or", "not", "in", "between", "contains", "starts", "is", "null", "true", "false"]);

const field = (name) =>
  BARE.test(name) && !KEYWORDS.has(name.toLowerCase()) ? name : `\`${name.replaceAll("`", "``")}\``;
const ESCAPES = { "\\b": "\\u0008", "\\f": "\\u000c" }; // of JSON, but not of filters
const quoted = (text) => JSON.stringify(text).replace(/\\./g, (pair) => ESCAPES[pair] ?? pair);

function oneField(name, values, kind) {
  const literal = (value) => (kind === "bool" && /^(true|false)$/.test(value) ? value : quoted(value));
  const each = values.map((value) => `${field(name)} = ${literal(value)}`);
  return each.length > 1 ? `(${each.join(" or ")})` : each[0];
}

/** The filter of a state, or null. kinds: {field: type}; but: a field whose own part is left out, to count its others. */
export function filterOf(state, kinds, but = null) {
  const clauses = [];
  for (const [name, values] of Object.entries(state.values)) {
    if (name !== but && values.length) clauses.push(oneField(name, values, kinds[name]));
  }
  for (const [name, { low, high, below }] of Object.entries(state.ranges)) {
    if (name === but) continue;
    if (low !== null) clauses.push(`${field(name)} >= ${low}`);
    if (high !== null) clauses.push(`${field(name)} ${below ? "<" : "<="} ${high}`);
  }
  return clauses.length ? clauses.join(" and ") : null;
}

/** What a facet is asked for: `colour:40`. */
export const facetRequest = (name, limit) => `${field(name)}${limit ? `:${limit}` : ""}`;

/** The words and chips of a state as parts of a query; photos that this browser no longer has are left out. */
export function partsOf(state) {
  const parts = state.q.trim() ? [{ words: state.q.trim() }] : [];
  for (const { kind, value, weight } of state.parts) {
    const image = kind === "photo" ? photoOf(value) : null;
    if (kind === "photo" && !image) continue;
    parts.push(kind === "photo" ? { image: { base64: image.base64 }, weight } : { [kind]: value, weight });
  }
  return parts;
}

/** The query of one page of hits. */
export function queryOf(state, kinds, offset = 0) {
  const query = { parts: partsOf(state), k: PAGE, offset };
  if (query.parts.length) query.by = state.by;
  const filter = filterOf(state, kinds);
  if (filter) query.filter = filter;
  if (state.sort) query.sort = [state.sort.startsWith("-") ? `-${field(state.sort.slice(1))}` : field(state.sort)];
  if (!query.parts.length && !filter && !state.sort) query.filter = EVERYTHING;
  return query;
}

/** Everything that the answer depends on, as text: equal for equal searches. */
export const searchKey = (state) =>
  JSON.stringify([
    state.collection,
    state.q.trim(),
    state.parts,
    asksSomething(state) && state.by,
    state.sort,
    state.values,
    state.ranges,
  ]);

/** What typed words say: `shirt -stripes -"big logo"` is shirt, without stripes, without big logo.
 *
 * done: whether the last word is finished, else a minus word at the very end is left in the words, to be typed on.
 */
export function readTyped(text, done) {
  const without = [];
  const pattern = done
    ? /(^|\s)[-−–](?:"([^"]+)"|([^\s"-][^\s"]*))(?=\s|$)/gu
    : /(^|\s)[-−–](?:"([^"]+)"|([^\s"-][^\s"]*))(?=\s)/gu;
  let words = text.replace(pattern, (_, before, phrase, word) => {
    without.push((phrase ?? word).trim());
    return before;
  });
  const said = done ? /^(.*\S)\s+without\s+(?:any\s+|an?\s+)?(\S.*)$/iu.exec(words.trim()) : null;
  if (said) {
    words = said[1];
    without.push(said[2].trim());
  }
  return { words: without.length ? words.replace(/\s+/g, " ").trimStart() : text, without: without.filter(Boolean) };
}

/** The words to search for while somebody still types `shirt -stri`: the unfinished minus is left out. */
export const settled = (text) => text.replace(/(^|\s)[-−–]("[^"]*"?|[^\s"]*)$/u, "").trim();
