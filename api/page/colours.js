// Colours that catalogues name, as dots beside their names.

import { h } from "./dom.js";

const NAMED = {
  navy: "#1f2a56",
  "navy blue": "#1f2a56",
  "off white": "#f4f0e4",
  cream: "#f6edd6",
  ivory: "#fbf6e6",
  beige: "#e5d3b3",
  khaki: "#b9a878",
  tan: "#c99a6b",
  camel: "#c19a6b",
  taupe: "#8b7d72",
  charcoal: "#3d4146",
  "grey melange": "#a7a9ac",
  burgundy: "#6d1f34",
  wine: "#6b1d3a",
  rust: "#a8482a",
  copper: "#b4734a",
  bronze: "#8c6a3a",
  gold: "#c9a04a",
  silver: "#c0c3c8",
  "rose gold": "#c98f86",
  mustard: "#d2a02d",
  peach: "#f6bf9d",
  coral: "#f0785a",
  mauve: "#b08aa6",
  lilac: "#c3aad9",
  lavender: "#c9bfe6",
  "sea green": "#3d9b7d",
  turquoise: "#3cc0bd",
  teal: "#1d7f83",
  "turquoise blue": "#2fb3c6",
  "lime green": "#8fc93a",
  olive: "#77783a",
  skin: "#e9bfa0",
  nude: "#e6c3a8",
  oak: "#c8a26f",
  birch: "#e7d2ad",
  walnut: "#6a4a34",
  pine: "#dcb886",
  "mushroom brown": "#a3917d",
  "coffee brown": "#5a3b2b",
  "dark brown": "#4a2f21",
  "light brown": "#a67c52",
  "dark grey": "#55585c",
  "light grey": "#c9cbce",
  "dark blue": "#1d3470",
  "light blue": "#9cc4e8",
  "dark green": "#1f5a35",
  "light green": "#a5d6a0",
  "dark red": "#8b1a1a",
};
const PLAIN = [
  "black",
  "white",
  "grey",
  "gray",
  "red",
  "green",
  "blue",
  "yellow",
  "orange",
  "purple",
  "pink",
  "brown",
  "maroon",
  "magenta",
  "cyan",
  "violet",
  "indigo",
  "fuchsia",
];
const SOFTER = {
  red: "#d13b33",
  green: "#3f9b4f",
  blue: "#2f62c4",
  yellow: "#f0cf3e",
  orange: "#ef8a33",
  purple: "#7c4aa5",
  pink: "#f19bb8",
  brown: "#7a5136",
  grey: "#96999d",
  gray: "#96999d",
  black: "#161616",
};
const MANY = "conic-gradient(#d13b33, #f0cf3e, #3f9b4f, #2f62c4, #7c4aa5, #d13b33)";

/** A dot for a value of a field of colours; null for any other field or an unknown name. */
export function swatch(field, value) {
  if (!/colou?r/i.test(field)) return null;
  const name = value.toLowerCase().trim();
  const paint = /^multi/.test(name) ? MANY : (NAMED[name] ?? SOFTER[name] ?? (PLAIN.includes(name) ? name : null));
  if (!paint) return h("i", { class: "swatch unknown" });
  const dot = h("i", { class: "swatch" });
  dot.style.background = paint;
  return dot;
}
