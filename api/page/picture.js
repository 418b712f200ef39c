// Photos from the server: plain images, or fetched with the key where the server asks for one.

import { hasKey, picture as fetchPicture, sized } from "./api.js";
import { h } from "./dom.js";

const soon = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      soon.unobserve(target);
      target.loadNow?.();
    }
  },
  { rootMargin: "600px" },
);

/** An `img` of a photo's address, or a quiet placeholder for none. size: of the longer side, in pixels. */
export function picture(url, { alt = "", size = 480, eager = false } = {}) {
  if (!url) return h("span", { class: "photo none", role: alt ? "img" : undefined, "aria-label": alt ? `${alt} (no photo)` : undefined });
  const image = h("img", { class: "photo", alt, decoding: "async", draggable: false });
  image.addEventListener("load", () => {
    image.classList.toggle("full", !standsOnWhite(image));
    image.classList.add("there");
  });
  image.addEventListener("error", () => image.classList.add("broken"));
  const address = sized(url, size);
  if (!hasKey()) {
    if (!eager) image.loading = "lazy";
    image.src = address;
    return image;
  }
  image.loadNow = async () => {
    try {
      await show(image, await fetchPicture(address));
    } catch {
      image.classList.add("broken");
    }
  };
  if (eager) image.loadNow();
  else soon.observe(image);
  return image;
}

/** Puts a picture's bytes into an `img`; its blob address lives until they are drawn. */
export async function show(image, blob) {
  const address = URL.createObjectURL(blob);
  image.src = address;
  try {
    await image.decode();
  } finally {
    URL.revokeObjectURL(address);
  }
}

const SIDE = 12; // pixels that a picture is looked at with
const glance = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
glance.canvas.width = glance.canvas.height = SIDE;

/** Is it a packshot, whose white may melt into the page? Else it is shown up to its edges. */
function standsOnWhite(image) {
  try {
    glance.clearRect(0, 0, SIDE, SIDE);
    glance.drawImage(image, 0, 0, SIDE, SIDE);
    const { data } = glance.getImageData(0, 0, SIDE, SIDE);
    let white = 0;
    for (let at = 0; at < SIDE * SIDE; at += 1) {
      const edge = at < SIDE || at >= SIDE * (SIDE - 1) || at % SIDE === 0 || at % SIDE === SIDE - 1;
      if (edge && Math.min(data[4 * at], data[4 * at + 1], data[4 * at + 2]) > 225) white += 1;
    }
    return white > 0.7 * 4 * (SIDE - 1);
  } catch {
    return true; // a browser that lets no script look
  }
}
