// @ts-check
/** The elements of the login page, and its texts, which come from the server with it. */

export const main = /** @type {HTMLElement} */ (document.querySelector("[data-otp-login]"));
/** @type {{baseUrl: string, next: string, language: string, codeLength: number, resends: number,
 *   wait: number, texts: Record<string, string>}} */
export const page = JSON.parse(main.dataset.otpLogin ?? "");

/** @param {string} id */
export const find = (id) => /** @type {any} */ (document.getElementById(id));
/** @type {HTMLFormElement} */ export const ask = find("otp-ask");
/** @type {HTMLFormElement} */ export const enter = find("otp-enter");
/** @type {HTMLInputElement} */ export const identifierField = find("otp-identifier");
/** @type {HTMLInputElement} */ export const codeField = find("otp-code");
/** @type {HTMLElement} */ export const message = find("otp-message");
/** @type {HTMLButtonElement} */ export const newButton = find("otp-new");

/**
 * @param {string} name
 * @param {Record<string, string | number>} [values]
 */
export function text(name, values = {}) {
  return page.texts[name].replace(/\{(\w+)\}/g, (_, key) => String(values[key] ?? ""));
}

/** @param {number} seconds */
export function inWords(seconds) {
  const units = /** @type {const} */ ([[3600, "hour"], [60, "minute"], [1, "second"]]);
  const [length, unit] = units.find(([each]) => seconds >= 1.5 * each) ?? [1, "second"];
  const format = new Intl.NumberFormat(page.language, { style: "unit", unit, unitDisplay: "long" });
  return format.format(Math.ceil(seconds / length));
}

/**
 * @param {string} words
 * @param {{good?: boolean, field?: HTMLInputElement | null}} [options]
 */
export function say(words, { good = false, field = null } = {}) {
  for (const each of [identifierField, codeField]) {
    each.toggleAttribute("aria-invalid", false);
  }
  message.textContent = words;
  message.classList.toggle("otp-good", good);
  field?.setAttribute("aria-invalid", "true");
  field?.focus();
}
