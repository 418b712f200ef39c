// Dark or light: the system's theme until somebody chooses.

import { $, icon } from "./dom.js";

const system = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";

export function drawTheme() {
  $("theme").replaceChildren(icon(isDark() ? "sun" : "moon"));
  $("theme").setAttribute("aria-label", isDark() ? "Light theme" : "Dark theme");
}

$("theme").addEventListener("click", () => {
  const now = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = now;
  try {
    localStorage.setItem("catalens.theme", now);
  } catch {
    // then until the page is left
  }
  drawTheme();
});
system.addEventListener("change", drawTheme);
