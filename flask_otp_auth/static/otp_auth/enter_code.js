// @ts-check
/** The second step of the login page: the code. */

import { goOn, hasLostCookies } from "./arrive.js";
import { verify } from "./client.js";
import { codeIn } from "./code_in_text.js";
import { codeField, enter, explain, find, holdable, newButton, onClock, once, page, say, show, showStep,
  text } from "./page.js";
import { forget } from "./pending.js";

/** @typedef {import("./pending.js").Pending} Pending */

/** @type {Pending | null} */
let pending = null;
let isOver = false; // whether the session accepts no more codes
let lastTried = "";
let listening = new AbortController(); // for a code from an SMS
/** @type {number | undefined} */
let countdown;

export const newCode = holdable(newButton);
const resendButton = find("otp-resend");
export const another = holdable(resendButton);

/** @returns {Pending | null} the session of the second step */
export const session = () => pending;

/**
 * Show the second step for a session that accepts codes.
 *
 * @param {Pending} started
 */
export function showEnter(started) {
  leaveEnter();
  pending = started;
  const { identifier, method } = pending;
  const address = Object.assign(document.createElement("strong"), { textContent: identifier });
  address.dir = "ltr";
  show(find("otp-sent"), "sent", { identifier: address, count: page.codeLength });
  find("otp-spam").hidden = method === "sms";
  showStep(enter);
  enter.reset();
  lastTried = "";
  setOver(false);
  find("otp-change").hidden = false;
  resendButton.hidden = pending.resends < 1;
  another.hold(pending.nextSend);
  countdown = setInterval(countDown, 1000);
  countDown();
  codeField.focus();
  if (method === "sms") {
    listen();
  }
}

/** Show the second step again, for a session that accepts no more codes. */
export function showOver() {
  showStep(enter);
  newButton.focus();
}

export const isEnded = () => isOver;

/** Stop what the second step does by itself. */
export function leaveEnter() {
  listening.abort();
  clearInterval(countdown);
  another.free();
}

function countDown() {
  const left = Math.max(0, Math.ceil((Number(pending?.expires) - Date.now()) / 1000));
  const time = Object.assign(document.createElement("span"), { textContent: onClock(left) });
  show(find("otp-left"), "good_for", { time });
  if (left === 0) {
    endSession(text("expired"));
  }
}

/** @param {boolean} over */
function setOver(over) {
  isOver = over;
  newButton.hidden = !over;
  newCode.free();
  for (const part of enter.querySelectorAll(".otp-about, label, input, button:not([type])")) {
    /** @type {HTMLElement} */ (part).hidden = over;
  }
  if (over) {
    resendButton.hidden = true;
  }
}

/** @param {string} words why the session accepts no more codes */
function endSession(words) {
  leaveEnter();
  forget(pending);
  setOver(true);
  say(words);
  newButton.focus();
}

/** Fill in the code from an SMS that names this site, if the browser supports WebOTP. */
async function listen() {
  listening = new AbortController();
  if (!("OTPCredential" in window)) {
    return;
  }
  const wanted = /** @type {any} */ ({ otp: { transport: ["sms"] }, signal: listening.signal });
  try {
    /** @type {any} */
    const credential = await navigator.credentials.get(wanted);
    if (credential?.code && !isOver) {
      codeField.value = credential.code;
      enter.requestSubmit();
    }
  } catch {
    // the code has to be typed
  }
}

/** Check the code in the field, if it is one. */
function submitCode() {
  if (pending === null || isOver) {
    return;
  }
  const code = codeIn(codeField.value, page.codeLength);
  if (code === null) {
    const isEmpty = codeField.value.trim() === "";
    const words = isEmpty ? text("missing_code") : text("digits", { count: page.codeLength });
    say(words, { field: codeField });
    return;
  }
  const { sessionId } = pending;
  once(async () => {
    lastTried = code;
    const outcome = await verify(sessionId, code);
    if (pending?.sessionId === sessionId) { // unless the user has gone back in the meantime
      conclude(outcome);
    }
  }, (error) => {
    if (error.code === "alreadyVerified") {
      endSession(text("used"));
    } else if (error.status === 403) {
      endSession(error.message);
    } else if (!explain(error)) {
      endSession(text("failed"));
    }
  });
}

/** @param {Awaited<ReturnType<typeof verify>>} outcome */
function conclude(outcome) {
  switch (outcome.status) {
    case "success":
      succeed();
      break;
    case "invalid_code": {
      const count = outcome.remainingAttempts;
      say(text(count === 1 ? "wrong_one" : "wrong_many", { count }), { field: codeField });
      codeField.select();
      break;
    }
    case "not_found": {
      const { identifier = "" } = pending ?? {};
      const isUser = outcome.message === "User not found";
      endSession(isUser ? text("no_user", { identifier }) : text("expired"));
      break;
    }
    default:
      endSession(text(outcome.status));
  }
}

function succeed() {
  leaveEnter();
  forget(pending);
  setOver(true);
  newButton.hidden = true;
  if (hasLostCookies()) {
    say(text("no_cookies"));
    return;
  }
  say(text("signed_in"), { good: true });
  goOn();
}

enter.addEventListener("submit", (event) => {
  if (pending !== null) { // else the server has shown this step
    event.preventDefault();
    submitCode();
  }
});
codeField.addEventListener("input", () => {
  const code = codeIn(codeField.value, page.codeLength);
  if (code !== null && code !== lastTried) {
    submitCode();
  }
});
codeField.addEventListener("paste", (event) => {
  // The field would join the lines of what is pasted, and with them their digits.
  const code = codeIn(event.clipboardData?.getData("text") ?? "", page.codeLength);
  if (code !== null) {
    event.preventDefault();
    codeField.value = code;
    submitCode();
  }
});
