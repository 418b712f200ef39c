// The server's routes. Every failure is an ApiError with the server's own message and hint.

const KEY = "catalens.key";
let key = readKey();
let asking = null; // one question for all requests that were refused
let askForKey = async () => null;

export class ApiError extends Error {
  constructor(message, { hint = null, status = 0, type = "unreachable" } = {}) {
    super(message);
    Object.assign(this, { hint, status, type });
  }
}

function readKey() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

export const hasKey = () => key !== null;
/** ask: async (wasWrong) => key, or null when nobody gives one. */
export const onKeyNeeded = (ask) => (askForKey = ask);

const enc = encodeURIComponent;
const base = (name) => `/v1/collections/${enc(name)}`;
const itemPath = (name, id) => `${base(name)}/items/${enc(id)}`; // slashes too: browsers resolve a/../b

export const collections = () => json("/v1/collections");
export const collection = (name) => json(base(name));
export const search = (name, query, signal) => json(`${base(name)}/search`, { body: query, signal });
export const item = (name, id, signal) => json(itemPath(name, id), { signal });
export const similar = (name, id, k, signal) => json(`${itemPath(name, id)}/similar?k=${k}`, { signal });
export const explain = (name, query, id, signal) =>
  json(`${base(name)}/explain`, { body: { query, item_id: id }, signal });
/** The map alone, transparent and in the shape of the photo with that id; null: of the one that fits best. */
export const heatMap = (name, query, id, photo, signal) =>
  blob(`${itemPath(name, id)}/heatmap?overlay=true${photo ? `&photo=${enc(photo)}` : ""}`, { body: query, signal });
export const picture = (url, signal) => blob(url, { signal });

export function facets(name, requests, filter, signal) {
  const asked = new URLSearchParams(requests.map((request) => ["field", request]));
  if (filter) asked.set("filter", filter);
  return json(`${base(name)}/facets?${asked}`, { signal });
}

/** The address of a photo at a width in pixels. */
export function sized(url, size) {
  return `${url}${url.includes("?") ? "&" : "?"}size=${size}`;
}

const json = async (path, options) => (await send(path, options)).json();
const blob = async (path, options) => (await send(path, options)).blob();

async function send(path, { body, signal } = {}, tries = { key: 3, busy: 2 }) {
  const headers = { Accept: "application/json, image/*" };
  const sent = key;
  if (sent) headers["X-API-Key"] = sent;
  if (body) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method: body ? "POST" : "GET",
      headers,
      body: body && JSON.stringify(body),
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server does not answer.", { hint: "Is it still running?" });
  }
  if (response.ok) return response;
  if (response.status === 401 && tries.key) {
    if (key === sent) await renewKey(Boolean(sent));
    if (key && key !== sent) return send(path, { body, signal }, { ...tries, key: tries.key - 1 });
  }
  const wait = Number(response.headers.get("Retry-After") ?? 1);
  if (response.status === 429 && tries.busy && wait <= 5) {
    await pause(Math.max(0.2, wait) * 1000, signal);
    return send(path, { body, signal }, { ...tries, busy: tries.busy - 1 });
  }
  throw await errorOf(response);
}

async function renewKey(wasWrong) {
  asking ??= askForKey(wasWrong).finally(() => (asking = null));
  const given = await asking;
  if (!given) return;
  key = given;
  try {
    sessionStorage.setItem(KEY, given);
  } catch {
    // then until the page is left
  }
}

function pause(milliseconds, signal) {
  return new Promise((done, failed) => {
    const timer = setTimeout(done, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      failed(signal.reason);
    });
  });
}

async function errorOf(response) {
  let said = null;
  try {
    said = (await response.json()).error;
  } catch {
    // no JSON: something between here and the server answered
  }
  const message = said?.message ?? `The server answered ${response.status}.`;
  return new ApiError(message, { hint: said?.hint ?? null, status: response.status, type: said?.type ?? "unknown" });
}
