// @ts-check
/** The elements of the login page, and its texts, which come from the server with it. */

import { SendCancelled } from "./before_send.js";
import { OtpError } from "./client.js";

export const main = /** @type {HTMLElement} */ (document.querySelector("[data-otp-login]"));
/**
 * @type {{baseUrl: string, next: string, language: string, codeLength: number, resends: number,
 *   wait: number, refresh: boolean, national: boolean,
 *   cookies: {secure: boolean, access: string | null, refresh: string, header: string},
 *   texts: Record<string, string>}}
 */
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

/**
 * Show a text whose places are filled with elements.
 *
 * @param {HTMLElement} where
 * @param {string} name
 * @param {Record<string, string | number | HTMLElement>} values
 */
export function show(where, name, values) {
  const parts = page.texts[name].split(/\{(\w+)\}/);
  const shown = parts.map((part, place) => (place % 2 ? (values[part] ?? "") : part));
  where.replaceChildren(...shown.map((each) => (each instanceof HTMLElement ? each : String(each))));
}

/** @param {number} seconds */
export function inWords(seconds) {
  const units = /** @type {const} */ ([[3600, "hour"], [60, "minute"], [1, "second"]]);
  const [length, unit] = units.find(([each]) => seconds >= 1.5 * each) ?? [1, "second"];
  const format = new Intl.NumberFormat(page.language, { style: "unit", unit, unitDisplay: "long" });
  return format.format(Math.ceil(seconds / length));
}

/** @param {number} seconds @returns {string} minutes and seconds */
export function onClock(seconds) {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

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

const askTitle = document.title;

/**
 * Show one of the two steps, and name the page after it.
 *
 * @param {HTMLFormElement} step
 */
export function showStep(step) {
  delete main.dataset.otpEarly;
  ask.hidden = step !== ask;
  enter.hidden = step !== enter;
  const title = text("title");
  const heading = text(step === ask ? "title" : "enter_title");
  find("otp-title").textContent = heading;
  document.title = askTitle.includes(title)
    ? askTitle.replace(title, () => heading)
    : step === ask ? askTitle : heading;
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

let isBusy = false;

/**
 * Run `work` unless something else is still running, and `fail` if a request of it fails.
 *
 * @param {() => Promise<void>} work
 * @param {(error: OtpError) => void} fail
 */
export async function once(work, fail) {
  if (isBusy) {
    return;
  }
  isBusy = true;
  main.setAttribute("aria-busy", "true");
  try {
    await work();
  } catch (error) {
    if (error instanceof SendCancelled) {
      say(error.isExplained ? "" : text("not_sent"));
    } else {
      fail(error instanceof OtpError ? error : new OtpError("failed", String(error)));
    }
  } finally {
    isBusy = false;
    main.removeAttribute("aria-busy");
  }
}

/**
 * Show an error that can occur in both steps.
 *
 * @param {OtpError} error
 * @param {{hold: (time: number) => void}} [button] the button that has to wait
 * @returns {boolean} whether the error is one of those
 */
export function explain({ code, status, retryAfter, message: detail }, button) {
  const time = retryAfter === null ? "" : inWords(retryAfter);
  if (retryAfter !== null) {
    button?.hold(Date.now() + retryAfter * 1000);
  }
  if (code === "offline") {
    say(text("offline"));
  } else if (code === "identifierLocked") {
    say(retryAfter === null ? text("disabled") : text("waiting", { time }));
  } else if (code === "tooManyRequests" && retryAfter !== null) {
    say(text("limited", { time }));
  } else if (status === 403) {
    say(detail); // of the application, or of a user that may not sign in
  } else if (status >= 502) {
    say(text("unavailable", { time: time || inWords(5) }));
  } else {
    return false;
  }
  return true;
}
