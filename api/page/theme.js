// Runs before the page is drawn, so that a chosen theme does not flash in the other one.
try {
  const chosen = localStorage.getItem("catalens.theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
} catch {
  // storage is switched off: then the system's theme holds
}
