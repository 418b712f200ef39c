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
  if (!url)
    return h("span", {
      class: "photo none",
      role: alt ? "img" : undefined,
      "aria-label": alt ? `${alt} (no photo)` : undefined,
    });
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
    const white = (x, y) => Math.min(...data.slice(4 * (y * SIDE + x), 4 * (y * SIDE + x) + 3)) > 225;
    const last = SIDE - 1;
    const along = Array.from({ length: SIDE }, (_, at) => [
      white(at, 0),
      white(at, last),
      white(0, at),
      white(last, at),
    ]).flat();
    const corners = [white(0, 0), white(last, 0), white(0, last), white(last, last)];
    return corners.filter(Boolean).length >= 3 || along.filter(Boolean).length > along.length / 2;
  } catch {
    return true; // a browser that lets no script look
  }
}
