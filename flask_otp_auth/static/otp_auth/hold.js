// @ts-check
/** Buttons that can be disabled for a while. */

import { onClock } from "./page.js";

/**
 * Make a button that can be disabled until some time, and shows how long that is.
 *
 * @param {HTMLButtonElement} button
 */
export function holdable(button) {
  const label = button.textContent ?? "";
  let until = 0;
  /** @type {number | undefined} */
  let timer;
  const tick = () => {
    const left = Math.ceil((until - Date.now()) / 1000);
    if (left > 0) {
      button.textContent = `${label} (${onClock(left)})`;
      timer = setTimeout(tick, 250);
    } else {
      free();
    }
  };
  const free = () => {
    clearTimeout(timer);
    until = 0;
    button.textContent = label;
    button.removeAttribute("aria-disabled");
  };
  /** @param {number} time milliseconds since 1970 */
  const hold = (time) => {
    free();
    until = time;
    if (time > Date.now()) {
      // Not "disabled", which would take the focus away from the button.
      button.setAttribute("aria-disabled", "true");
      tick();
    }
  };
  return { hold, free, isHeld: () => until > Date.now() };
}
