// @ts-check
/** The login page: the two steps of signing in. All its texts come with the page. */

import { OtpError, configure, initiate, resend, verify } from "./client.js";
import { holdable } from "./hold.js";
import { ask, codeField, enter, find, identifierField, inWords, main, newButton, page, say, text }
  from "./page.js";
import { forget, recall, remember } from "./pending.js";

/** @typedef {import("./pending.js").Pending} Pending */

configure({ baseUrl: page.baseUrl });

/** @type {Pending | null} */
let pending = null;
let isBusy = false;
let isOver = false; // whether the session accepts no more codes
let lastTried = "";
let listening = new AbortController(); // for a code from an SMS
/** @type {number | undefined} */
let expiryTimer;

const askButton = holdable(/** @type {any} */ (ask.querySelector("button")));
const newCode = holdable(newButton);
const resendButton = find("otp-resend");
const another = holdable(resendButton, () => say(text("may_resend"), { good: true }));

/** Show the first step, with what was typed there before. */
function showAsk() {
  listening.abort();
  clearTimeout(expiryTimer);
  another.free();
  enter.hidden = true;
  ask.hidden = false;
  identifierField.focus();
}

/** Show the second step for the pending session, or the first one without a session. */
function showEnter() {
  if (pending === null) {
    showAsk();
    return;
  }
  const { identifier, method, expires } = pending;
  const left = Math.max(0, Math.round((expires - Date.now()) / 1000));
  const words = [text("sent", { identifier }), text("good_for", { time: inWords(left) })];
  find("otp-sent").textContent = words.join(" ");
  ask.hidden = true;
  enter.hidden = false;
  enter.reset();
  lastTried = "";
  setOver(false);
  holdAnother(pending);
  clearTimeout(expiryTimer);
  expiryTimer = setTimeout(() => endSession(text("expired")), left * 1000);
  codeField.focus();
  if (method === "sms") {
    listen();
  }
}

/** @param {boolean} over */
function setOver(over) {
  isOver = over;
  newButton.hidden = !over;
  newCode.free();
  for (const part of enter.querySelectorAll("#otp-sent, label, input, button:not([type])")) {
    /** @type {HTMLElement} */ (part).hidden = over;
  }
  if (over) {
    resendButton.hidden = true;
    another.free();
  }
}

/** @param {string} words why the session accepts no more codes */
function endSession(words) {
  listening.abort();
  clearTimeout(expiryTimer);
  forget();
  setOver(true);
  say(words);
  newButton.focus();
}

/** Fill in the code from an SMS that names this site, if the browser supports WebOTP. */
async function listen() {
  listening.abort();
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

/**
 * Run `work` unless something else is still running, and `fail` if it throws.
 *
 * @param {() => Promise<void>} work
 * @param {(error: OtpError) => void} fail
 */
async function once(work, fail) {
  if (isBusy) {
    return;
  }
  isBusy = true;
  main.setAttribute("aria-busy", "true");
  try {
    await work();
  } catch (error) {
    fail(error instanceof OtpError ? error : new OtpError("failed", String(error)));
  } finally {
    isBusy = false;
    main.removeAttribute("aria-busy");
  }
}

/**
 * Show an error that can occur in both steps.
 *
 * @param {OtpError} error
 * @param {{hold: (time: number) => void}} button the button that has to wait
 * @returns {boolean} whether the error is one of those
 */
function explain({ code, status, retryAfter }, button) {
  const time = retryAfter === null ? "" : inWords(retryAfter);
  if (retryAfter !== null) {
    button.hold(Date.now() + retryAfter * 1000);
  }
  if (code === "offline") {
    say(text("offline"));
  } else if (code === "identifierLocked") {
    say(retryAfter === null ? text("disabled") : text("waiting", { time }));
  } else if (code === "tooManyRequests" && retryAfter !== null) {
    say(text("limited", { time }));
  } else if (status >= 502) {
    say(text("unavailable", { time: time || inWords(5) }));
  } else {
    return false;
  }
  return true;
}

/**
 * @param {string} identifier
 * @param {import("./client.js").Method} method
 * @param {{hold: (time: number) => void, isHeld: () => boolean}} button the button that was pressed
 */
function start(identifier, method, button) {
  if (button.isHeld()) {
    return;
  }
  once(async () => {
    const sent = await initiate(identifier, method);
    const now = Date.now();
    pending = {
      sessionId: sent.sessionId,
      identifier,
      method,
      expires: now + sent.ttl * 1000,
      nextSend: now + page.wait * 1000,
      resends: page.resends,
    };
    remember(pending);
    say("");
    if (history.state?.otp !== "code") {
      history.pushState({ otp: "code" }, ""); // so that the back button leads to the first step
    }
    showEnter();
  }, (error) => {
    if (error.code === "invalidIdentifier" || error.code === "badRequest") {
      say(text(`invalid_${method}`), { field: identifierField });
    } else if (!explain(error, button)) {
      say(text("not_sent"));
    }
  });
}

/** Check the code in the field. */
function submitCode() {
  const typed = codeField.value.trim();
  if (pending === null || isOver) {
    return;
  }
  if (typed === "") {
    say(text("missing_code"), { field: codeField });
    return;
  }
  const { sessionId } = pending;
  once(async () => {
    lastTried = typed;
    const outcome = await verify(sessionId, typed);
    if (pending?.sessionId === sessionId) { // unless the user has gone back in the meantime
      conclude(outcome);
    }
  }, (error) => {
    if (error.code === "alreadyVerified") {
      endSession(text("used"));
    } else if (!explain(error, { hold: () => {} })) {
      endSession(text("failed"));
    }
  });
}

/** @param {Awaited<ReturnType<typeof verify>>} outcome */
function conclude(outcome) {
  switch (outcome.status) {
    case "success":
      forget();
      listening.abort();
      setOver(true);
      newButton.hidden = true;
      say(text("signed_in"), { good: true });
      location.replace(samePath(page.next));
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

/**
 * Return the path if it is one of this site, or else "/". The server has checked it too.
 *
 * @param {string} path
 */
function samePath(path) {
  const url = new URL(path, location.origin);
  const safe = /^\/(?!\/)[^\\\u0000-\u0020]*$/.test(path) && url.origin === location.origin;
  return safe ? path : "/";
}

/** Ask for another code for the same session. */
function sendAnother() {
  if (pending === null || another.isHeld()) {
    return;
  }
  const session = pending;
  once(async () => {
    const outcome = await resend(session.sessionId);
    if (outcome.status !== "sent") {
      endSession(text("expired"));
      return;
    }
    session.resends -= 1;
    session.nextSend = Date.now() + page.wait * 1000;
    remember(session);
    say(text("resent"), { good: true });
    holdAnother(session);
    codeField.focus();
  }, (error) => {
    const hold = (/** @type {number} */ time) => {
      session.nextSend = time;
      remember(session);
      another.hold(time);
    };
    if (error.code === "tooManyResends") {
      session.resends = 0;
      remember(session);
      holdAnother(session);
      say(text("no_more"));
      codeField.focus();
    } else if (!explain(error, { hold })) {
      say(text("not_sent"));
    }
  });
}

/** @param {Pending} session */
function holdAnother(session) {
  resendButton.hidden = session.resends < 1;
  if (session.resends < 1) {
    another.free();
  } else {
    another.hold(session.nextSend);
  }
}

const via = () => /** @type {import("./client.js").Method} */ (new FormData(ask).get("via"));

/** Adapt the keyboard and the label of the first step's field to the chosen method. */
function followMethod() {
  const method = via();
  identifierField.inputMode = method === "sms" ? "tel" : "email";
  identifierField.autocomplete = method === "sms" ? "tel" : "email";
  identifierField.labels?.[0]?.replaceChildren(text(method));
}

ask.addEventListener("submit", (event) => {
  event.preventDefault();
  const identifier = identifierField.value.trim();
  if (identifier === "") {
    say(text("missing_identifier"), { field: identifierField });
    return;
  }
  start(identifier, via(), askButton);
});
ask.addEventListener("input", () => {
  followMethod();
  say("");
  askButton.free(); // the wait was for the previous identifier
});
enter.addEventListener("submit", (event) => {
  event.preventDefault();
  submitCode();
});
codeField.addEventListener("input", () => {
  const digits = codeField.value.replace(/[\s-]/g, "");
  if (/^[0-9]+$/.test(digits) && digits.length === page.codeLength && codeField.value !== lastTried) {
    submitCode();
  }
});
resendButton.addEventListener("click", sendAnother);
newButton.addEventListener("click", () => {
  if (pending !== null) {
    start(pending.identifier, pending.method, newCode);
  }
});
find("otp-change").addEventListener("click", () => history.back());
addEventListener("popstate", () => {
  say("");
  if (history.state?.otp !== "code") {
    showAsk();
  } else if (isOver) {
    ask.hidden = true;
    enter.hidden = false;
    newButton.focus();
  } else {
    showEnter();
  }
});

find("otp-late").remove();
followMethod();
pending = history.state?.otp === "code" ? recall() : null;
if (pending !== null) {
  showEnter();
} else {
  showAsk();
}
