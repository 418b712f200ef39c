// Keys: / to the box, arrows between hits, Enter opens (it is a link), Esc closes or clears.

import { $ } from "./dom.js";

const grid = $("grid");
const links = () => [...grid.querySelectorAll(".card-link")];

export const firstLink = () => grid.querySelector(".card-link");

/** The link of an item's card, if it is among the hits. */
export const linkOf = (id) => grid.querySelector(`.card[data-id="${CSS.escape(id)}"] .card-link`);

const columns = (all) => {
  const top = all[0]?.getBoundingClientRect().top;
  const next = all.findIndex((link) => link.getBoundingClientRect().top > top + 4);
  return next < 1 ? all.length : next;
};

/** Puts the focus on a hit; the one that has it is the only one that Tab stops at. */
export function focusHit(link) {
  for (const each of links()) each.tabIndex = each === link ? 0 : -1;
  link?.focus();
  link?.scrollIntoView({ block: "nearest" });
}

grid.addEventListener("focusin", (event) => {
  if (!event.target.matches(".card-link")) return;
  for (const each of links()) each.tabIndex = each === event.target ? 0 : -1;
});

grid.addEventListener("keydown", (event) => {
  const all = links();
  const at = all.indexOf(event.target);
  if (at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
  const wide = columns(all);
  const to = {
    ArrowRight: at + 1,
    ArrowLeft: at - 1,
    ArrowDown: at + wide,
    ArrowUp: at - wide,
    Home: 0,
    End: all.length - 1,
  }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  if (to < 0 && event.key === "ArrowUp") $("q").focus();
  else if (all[to]) focusHit(all[to]);
});

$("q").addEventListener("keydown", (event) => {
  if (event.key !== "ArrowDown" || event.isComposing) return;
  const [first] = links();
  if (!first) return;
  event.preventDefault();
  focusHit(first);
});

document.addEventListener("keydown", (event) => {
  const writes = event.target.closest?.("input:not([type=checkbox], [type=radio], [type=range]), textarea, select");
  if (event.key === "/" && !writes && !event.ctrlKey && !event.metaKey && !document.querySelector("dialog[open]")) {
    event.preventDefault();
    $("q").focus();
    $("q").select();
  }
});
