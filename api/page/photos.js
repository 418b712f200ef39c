// Photos that somebody dropped, pasted or chose. They live in this tab: no address can hold them.

const SIDE = 768; // pixels of the longer side: twice what the widest encoders look at
const held = new Map(); // id -> {url, base64, name}
const STORED = "catalens.photo.";

/** The photo with an id, or null where this browser does not have it. */
export function photoOf(id) {
  if (held.has(id)) return held.get(id);
  try {
    const url = sessionStorage.getItem(STORED + id);
    if (url?.startsWith("data:image/")) return keep(id, url);
  } catch {
    // storage is switched off
  }
  return null;
}

function keep(id, url) {
  const photo = { url, base64: url.slice(url.indexOf(",") + 1) };
  held.set(id, photo);
  return photo;
}

/** Takes a file in, smaller where it is large, and gives its id. Raises an Error with a message for a person. */
export async function takeIn(file) {
  if (file.type && !file.type.startsWith("image/")) throw new Error(`${file.name || "That"} is no picture.`);
  const blob = await reduced(file);
  const url = await dataUrl(blob);
  const digest = await idOf(blob);
  keep(digest, url);
  try {
    sessionStorage.setItem(STORED + digest, url); // so that it is there after a reload, too
  } catch {
    // full or switched off: then until the page is left
  }
  return digest;
}

/** The same picture twice is one photo. FNV-1a, since the browser's own digests are missing on plain HTTP. */
async function idOf(blob) {
  let hash = 0x811c9dc5;
  for (const byte of new Uint8Array(await blob.arrayBuffer())) hash = Math.imul(hash ^ byte, 0x01000193);
  return `${(hash >>> 0).toString(36)}${blob.size.toString(36)}`;
}

async function reduced(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    if (await mayBeRead(file)) return file;
    throw new Error(`${file.name || "That"} cannot be read as a picture.`);
  }
  const factor = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
  if (factor === 1 && file.size < 600_000 && ["image/jpeg", "image/png", "image/webp"].includes(file.type)) return file;
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * factor));
  canvas.height = Math.max(1, Math.round(bitmap.height * factor));
  const brush = canvas.getContext("2d");
  brush.fillStyle = "#fff"; // transparent products stand on white, as the server has them
  brush.fillRect(0, 0, canvas.width, canvas.height);
  brush.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return new Promise((done, failed) =>
    canvas.toBlob((made) => (made ? done(made) : failed(new Error("The picture cannot be read."))), "image/jpeg", 0.92),
  );
}

/** Is it of a format that the server reads and many browsers do not: HEIC, AVIF, TIFF? */
async function mayBeRead(file) {
  const head = String.fromCharCode(...new Uint8Array(await file.slice(0, 12).arrayBuffer()));
  return head.slice(4, 8) === "ftyp" || head.startsWith("II*\0") || head.startsWith("MM\0*");
}

function dataUrl(blob) {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.onerror = () => failed(new Error("The picture cannot be read."));
    reader.readAsDataURL(blob);
  });
}

/** Calls `take(files)` for what is dropped anywhere on the page or pasted into it. */
export function listenForPhotos(overlay, take) {
  let depth = 0;
  const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const show = (shown) => (overlay.hidden = !shown);
  addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    depth += 1;
    show(true);
  });
  addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    if (!depth) show(false);
  });
  addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    depth = 0;
    show(false);
    if (!hasFiles(event)) return;
    event.preventDefault();
    take([...event.dataTransfer.files]);
  });
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])].filter((file) => file.type.startsWith("image/"));
    if (!files.length) return;
    event.preventDefault();
    take(files);
  });
}
