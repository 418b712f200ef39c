// A range of numbers: two handles on a line, two boxes for exact ends, and the server's own ranges with their counts.

import { h } from "./dom.js";
import { go, state } from "./state.js";
import { count, label, number } from "./words.js";

/** field: {name, base} with the lowest and highest number of the whole collection; facet: counts as things are now. */
export function rangeFacet({ name, base }, facet) {
  const whole = Number.isInteger(base.low) && Number.isInteger(base.high);
  const least = whole ? base.low : Math.floor(base.low);
  const most = whole ? base.high : Math.ceil(base.high);
  const step = whole || most - least > 20 ? 1 : (most - least) / 100;
  const chosen = state().ranges[name] ?? { low: null, high: null, below: false };
  const { low, high } = chosen;
  const set = (from, to) => {
    const { [name]: _, ...others } = state().ranges;
    const range = {
      low: from === null || from <= least ? null : from,
      high: to === null || to >= most ? null : to,
      below: false,
    };
    go({ ranges: range.low === null && range.high === null ? others : { ...others, [name]: range } });
  };

  const title = label(name);
  const handle = (value, which) =>
    h("input", {
      type: "range",
      min: least,
      max: most,
      step,
      value,
      "aria-label": `${title}, ${which}`,
      dataset: { focus: `${name}:${which}` },
    });
  const left = handle(low ?? least, "from");
  const right = handle(high ?? most, "to");
  const line = h("div", { class: "line" }, left, right);
  const exact = (value, which, shown) =>
    h("input", {
      type: "number",
      inputMode: "decimal",
      min: least,
      max: most,
      step: "any",
      value: value ?? "",
      placeholder: number(shown),
      "aria-label": `${title}, ${which}`,
      dataset: { focus: `${name}:${which}:exact` },
    });
  const from = exact(low, "lowest", least);
  const to = exact(high, "highest", most);

  const paint = () => {
    const share = (value) => (100 * (value - least)) / (most - least || 1);
    line.style.setProperty("--from", `${share(Math.min(left.value, right.value))}%`);
    line.style.setProperty("--to", `${share(Math.max(left.value, right.value))}%`);
  };
  const ends = () => [Number(left.value), Number(right.value)].sort((a, b) => a - b);
  for (const each of [left, right]) {
    each.addEventListener("input", () => {
      paint();
      [from.value, to.value] = ends();
    });
    each.addEventListener("change", () => set(...ends()));
  }
  for (const each of [from, to]) {
    each.addEventListener("change", () => {
      const typed = [from, to].map((box) =>
        box.value.trim() === "" || !Number.isFinite(Number(box.value)) ? null : Number(box.value),
      );
      if (typed[0] !== null && typed[1] !== null) typed.sort((a, b) => a - b);
      set(...typed);
    });
  }
  paint();

  const ranges = facet.ranges.filter((each) => each.count).map((each) => quick(name, each, chosen));
  return h(
    "div",
    { class: "range" },
    line,
    h("div", { class: "ends" }, from, h("span", { text: "to", "aria-hidden": "true" }), to),
    h("div", { class: "quick" }, ranges),
  );
}

/** One of the server's ranges as a row that takes it, or takes it off. Its upper end is not in it. */
function quick(name, { low, high, count: many }, chosen) {
  const text =
    low === null
      ? `under ${number(high)}`
      : high === null
        ? `${number(low)} or more`
        : `${number(low)} to ${number(high)}`;
  const on = chosen.low === low && chosen.high === high && (low !== null || high !== null);
  return h(
    "button",
    {
      class: "value",
      type: "button",
      "aria-pressed": String(on),
      dataset: { focus: `${name}~${low}~${high}` },
      onclick: () => {
        const { [name]: _, ...others } = state().ranges;
        go({ ranges: on ? others : { ...others, [name]: { low, high, below: high !== null } } });
      },
    },
    h("span", { class: "name", text }),
    h("span", { class: "many", text: count(many) }),
  );
}
