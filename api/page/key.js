// The question for the server's key.

import { $ } from "./dom.js";

/** Asks for the key. Gives it, or null where nobody does. */
export function ask(wasWrong) {
  const dialog = $("ask");
  const why = wasWrong
    ? "That key is not one of this server's. Try again."
    : "Whoever runs it has one for you. It is kept until you close this tab.";
  $("ask-why").textContent = why;
  $("ask-key").value = "";
  dialog.showModal();
  $("ask-key").focus();
  return new Promise((done) => {
    const finish = (key) => {
      $("ask-form").onsubmit = $("ask-cancel").onclick = dialog.oncancel = null;
      dialog.close();
      done(key);
    };
    $("ask-form").onsubmit = (event) => {
      event.preventDefault();
      finish($("ask-key").value.trim());
    };
    $("ask-cancel").onclick = () => finish(null);
    dialog.oncancel = (event) => {
      event.preventDefault();
      finish(null);
    };
  });
}
