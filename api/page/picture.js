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
  image.addEventListener("load", () => image.classList.add("there"));
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
