// Why an item is where it is, in plain words.

import { h } from "./dom.js";
import { certainty, count, ordinal, plural, shown } from "./words.js";

const COMPARED = { image: "By its photos", text: "By its title and texts", lexical: "By the very words" };

/** Lines for what `POST …/explain` answers. */
export function sentences(why) {
  const lines = [];
  const outcome = why.outcome;
  if (outcome.step === "hit" && outcome.rank !== undefined) {
    const among =
      why.matching < why.items
        ? `the ${plural(why.matching, "item")} that pass the filters`
        : plural(why.items, "item");
    lines.push(outcome.rank === 1 ? `It is the best of ${among}.` : `It comes ${ordinal(outcome.rank)} of ${among}.`);
  } else {
    const said = outcome.said;
    lines.push(`${said[0].toUpperCase()}${said.slice(1)}.`);
  }
  for (const [leg, place] of Object.entries(why.legs)) {
    const rank = place.matching_rank ?? place.rank;
    const of = place.matching_rank === null ? place.of : place.matching;
    lines.push(`${COMPARED[leg] ?? leg} it is ${rank === 1 ? "the best" : ordinal(rank)} of ${count(of)}.`);
  }
  const sure = certainty(why.confidence);
  if (sure) lines.push(sure.means);
  if (why.matched_text && why.matched_text !== why.title)
    lines.push(`The text that fits best: “${short(why.matched_text)}”`);
  for (const rule of why.rules) lines.push(`A rule of the shop had a part in it: ${rule}.`);
  return lines;
}

/** The parts of the filter with the item's own values. */
export function clauses(why) {
  return why.filter.map(({ clause, passed, values }) => {
    const has = Object.entries(values).map(
      ([name, value]) => `${name} is ${value === null ? "nothing" : shown(value)}`,
    );
    return h(
      "li",
      { class: passed ? "passed" : "failed" },
      h("code", { text: clause }),
      h("span", { text: ` ${passed ? "holds" : "does not hold"}: ${has.join(", ")}` }),
    );
  });
}

const short = (text) => (text.length > 220 ? `${text.slice(0, 200).replace(/\s+\S*$/, "")}…` : text);
