// Numbers, prices and certainty as people read them.

const plain = new Intl.NumberFormat();
const decimals = new Intl.NumberFormat(undefined, { maximumFractionDigits: 2, useGrouping: "min2" }); // 2011 is a year

export const count = (number) => plain.format(number);
export const number = (value) => decimals.format(value);
export const plural = (many, one, more = `${one}s`) => `${count(many)} ${many === 1 ? one : more}`;

/** Which field is the price, if any is. kinds: {field: type}. */
export function priceField(kinds) {
  const names = Object.keys(kinds).filter((name) => kinds[name] === "number");
  return (
    names.find((name) => name.toLowerCase() === "price") ??
    names.find((name) => /(^|[^a-z])price([^a-z]|$)|^cost$/i.test(name)) ??
    null
  );
}

/** A price with the item's own currency, where it names one that exists. */
export function price(value, attributes = {}) {
  if (typeof value !== "number") return value === null || value === undefined ? "" : String(value);
  const currency = attributes.currency ?? attributes.Currency;
  const options = { minimumFractionDigits: Number.isInteger(value) ? 0 : 2, maximumFractionDigits: 2 };
  try {
    if (typeof currency === "string")
      return new Intl.NumberFormat(undefined, { ...options, style: "currency", currency }).format(value);
  } catch {
    // no currency that the browser knows
  }
  return new Intl.NumberFormat(undefined, options).format(value);
}

/** A value of an attribute in a sentence or a table. */
export function shown(value) {
  if (value === true) return "yes";
  if (value === false) return "no";
  if (typeof value === "number") return decimals.format(value);
  if (Array.isArray(value)) return value.map(shown).join(", ");
  return value !== null && typeof value === "object" ? JSON.stringify(value) : String(value ?? "");
}

/** `made_in` as "Made in". */
export function label(name) {
  const words = name.replace(/[_-]+/g, " ").trim() || name;
  return words[0].toUpperCase() + words.slice(1);
}

export const FITS = 0.98; // the server's own limit: below, even nonsense finds as much

/** How sure a hit is: bars 0 to 3, a word, and what the number means. null where it is not known. */
export function certainty(confidence) {
  if (confidence === null || confidence === undefined) return null;
  const percent = confidence >= 0.9995 ? "more than 99.9 %" : `${(Math.floor(confidence * 1000) / 10).toFixed(1)} %`;
  const means = `It fits better than anything that ${percent} of nonsense searches find.`;
  if (confidence >= 0.999) return { bars: 3, word: "Strong match", means };
  if (confidence >= FITS) return { bars: 2, word: "Good match", means };
  if (confidence >= 0.9) return { bars: 1, word: "Weak match", means };
  return { bars: 0, word: "Hardly a match", means };
}

const ORDINALS = { one: "st", two: "nd", few: "rd", other: "th" };
const rules = new Intl.PluralRules("en", { type: "ordinal" });
export const ordinal = (place) => `${count(place)}${ORDINALS[rules.select(place)]}`;
