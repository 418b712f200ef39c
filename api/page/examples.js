// Searches to begin with, made of what the collection says about itself.

import { $, h } from "./dom.js";
import { go } from "./state.js";

/** fields: what `learn` kept; hits: a few items, for collections without such fields. */
export function drawExamples(fields, hits) {
  const found = ideas(fields, hits).slice(0, 6);
  $("examples").replaceChildren(
    ...found.map((text) => h("button", { class: "example", type: "button", text, onclick: () => go({ q: text }) })),
  );
}

function ideas(fields, hits) {
  const texts = fields.filter(({ type, base }) => type !== "number" && type !== "bool" && base.values.length > 1);
  const named = (pattern) => texts.find(({ name }) => pattern.test(name));
  const colour = named(/colou?r/i);
  const kind = named(/^(type|kind|product_?type|article_?type)$/i) ?? named(/type|category|kind/i);
  const values = (field) =>
    field.base.values.map(({ value }) =>
      String(value)
        .toLowerCase()
        .replace(/[,/].*$/, "")
        .trim(),
    );
  if (colour && kind) {
    const colours = [...new Set(values(colour))].slice(0, 5);
    return [...new Set(values(kind))]
      .slice(0, 6)
      .map((what, at) => `${colours[(at * 2 + 1) % colours.length]} ${what}`);
  }
  if (kind ?? texts[0]) return [...new Set(values(kind ?? texts[0]))];
  return [
    ...new Set(
      hits.map((hit) => hit.title.split(/\s+/).slice(0, 3).join(" ")).filter((text) => text && text.length <= 28),
    ),
  ];
}
