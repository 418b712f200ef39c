// The photos of one item, large, with the way to the next item and the map of where a photo matches.

import * as api from "./api.js";
import { h, icon, iconButton } from "./dom.js";
import { picture, show } from "./picture.js";
import { asksSomething, go } from "./state.js";

/** already: the smaller photo that is shown until the large one is there. */
export function stage(context, item, hit, already) {
  const best = item.photos.findIndex((photo) => photo.url === hit?.photo); // the one that won stands first
  const all = best > 0 ? [item.photos[best], ...item.photos.toSpliced(best, 1)] : item.photos;
  const [first] = all;
  const frame = h("div", { class: "frame" });
  const put = (photo) => {
    frame.dataset.photo = photo?.id ?? "";
    frame.dispatchEvent(new Event("photo"));
    const image = picture(photo?.url, { alt: item.title, size: 960, eager: true });
    if (photo?.width && photo.height) [image.width, image.height] = [photo.width, photo.height];
    frame.replaceChildren(image);
  };
  if (already && first) {
    const larger = picture(first.url, { alt: item.title, size: 960, eager: true });
    frame.dataset.photo = first.id ?? "";
    frame.replaceChildren(already);
    larger.addEventListener("load", () => already.isConnected && already.replaceWith(larger), { once: true });
  } else put(first);
  const thumbs =
    all.length > 1 &&
    h(
      "div",
      { class: "thumbs", role: "group", "aria-label": "Photos" },
      all.map((photo, at) =>
        h(
          "button",
          { type: "button", "aria-label": `Photo ${at + 1}`, onclick: () => put(photo) },
          picture(photo.url, { size: 160 }),
        ),
      ),
    );
  const canHeat = first?.id && asksSomething(context.now) && context.query?.parts?.length;
  return h(
    "div",
    { class: "stage" },
    h("div", { class: "pin" }, frame, steps(context), canHeat && heatButton(context, frame), thumbs),
  );
}

function steps({ hits, now }) {
  const at = hits.findIndex((hit) => hit.item_id === now.open);
  if (at < 0) return [];
  const step = (to, name, text, side) =>
    hits[to] ? iconButton(name, text, () => go({ open: hits[to].item_id }, { replace: true }), `step ${side}`) : null;
  return [step(at - 1, "left", "The one before", "before"), step(at + 1, "right", "The next one", "next")];
}

function heatButton({ now, query, signal }, frame) {
  let map = null;
  frame.addEventListener("photo", () => {
    map = null;
    button.setAttribute("aria-pressed", "false");
  });
  const button = h(
    "button",
    { class: "button heat", type: "button", "aria-pressed": "false" },
    icon("heat"),
    h("span", { text: "Where it matches" }),
  );
  const label = button.querySelector("span");
  button.addEventListener("click", async () => {
    if (map?.isConnected) {
      map.remove();
      button.setAttribute("aria-pressed", "false");
      return;
    }
    button.disabled = true;
    label.textContent = "Looking…";
    try {
      if (!map) {
        const made = h("img", { class: "heat-map", alt: "Heat map: warm places match the search best" });
        await show(
          made,
          await api.heatMap(now.collection, { parts: query.parts }, now.open, frame.dataset.photo, signal),
        );
        map = made;
      }
      frame.append(map);
      button.setAttribute("aria-pressed", "true");
      label.textContent = "Where it matches";
    } catch (error) {
      if (error.name === "AbortError") return;
      label.textContent = error.message;
    } finally {
      button.disabled = false;
      if (document.activeElement === document.body) button.focus();
    }
  });
  return button;
}
