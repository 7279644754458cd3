/** The API key that the page sends: asked for when the server wants one, forgotten with the tab. */

const NAME = "everstream-api-key";

/** The headers that tell the server who asks. */
export function keyHeaders() {
  const key = sessionStorage.getItem(NAME);
  return key === null ? {} : { authorization: `Bearer ${key}` };
}

/** Asks for a key in this dialog, saying why; gives whether there is one now. */
export function askForKey(dialog, why) {
  const form = dialog.querySelector("form");
  const input = dialog.querySelector("input");
  dialog.querySelector("[data-why]").textContent = why;
  sessionStorage.removeItem(NAME);
  return new Promise((resolve) => {
    form.onsubmit = (event) => {
      event.preventDefault();
      sessionStorage.setItem(NAME, input.value.trim());
      dialog.close();
    };
    dialog.querySelector("button[type=button]").onclick = () => dialog.close();
    dialog.onclose = () => {
      input.value = "";
      resolve(sessionStorage.getItem(NAME) !== null);
    };
    dialog.showModal();
  });
}
