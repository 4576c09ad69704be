// @ts-check
/** The login page: its first step, and how it goes from one to the other. */

import { goOn, refreshFirst, refusesCookies } from "./arrive.js";
import { configure } from "./client.js";
import { another, isEnded, leaveEnter, newCode, session, showEnter, showOver } from "./enter_code.js";
import { ask, enter, explain, find, holdable, identifierField, main, newButton, once, page, say, showStep,
  text } from "./page.js";
import { recall } from "./pending.js";
import { sendCode } from "./send_code.js";

configure({
  baseUrl: page.baseUrl,
  refreshCsrfCookie: page.cookies.refresh,
  csrfHeader: page.cookies.header,
});

const askButton = holdable(/** @type {any} */ (ask.querySelector("button")));
const via = () => /** @type {import("./client.js").Method} */ (new FormData(ask).get("via"));

/** Show the first step, with what was typed there before. */
function showAsk() {
  leaveEnter();
  showStep(ask);
  identifierField.focus();
}

/**
 * Have a code sent and go on to the second step, also where the code before has to do.
 *
 * @param {string} identifier
 * @param {import("./client.js").Method} method
 * @param {ReturnType<typeof holdable>} button the button that was pressed
 */
function start(identifier, method, button) {
  if (button.isHeld()) {
    return;
  }
  once(async () => {
    const { pending, sent } = await sendCode(identifier, method);
    if (history.state?.otp !== "code") {
      history.pushState({ otp: "code" }, ""); // so that the back button leads to the first step
    }
    showEnter(pending);
    const last = pending.resends < 1 && button === another ? "no_more" : "still_works";
    say({ first: "", another: text("resent"), none: text(last) }[sent], { good: true });
  }, (error) => {
    if (error.code === "invalidIdentifier" || error.code === "badRequest") {
      say(text(`invalid_${method}`), { field: identifierField });
    } else if (!explain(error, button)) {
      say(text("not_sent"));
    }
  });
}

/** @param {ReturnType<typeof holdable>} button */
function startAgain(button) {
  const pending = session();
  if (pending !== null) {
    start(pending.identifier, pending.method, button);
  }
}

/** Adapt the first step to the chosen method. */
function followMethod() {
  const method = via();
  identifierField.inputMode = method === "sms" ? "tel" : "email";
  identifierField.autocomplete = method === "sms" ? "tel" : "email";
  identifierField.labels?.[0]?.replaceChildren(text(method));
  find("otp-hint").hidden = method === "email" || page.national;
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
find("otp-resend").addEventListener("click", () => startAgain(another));
newButton.addEventListener("click", () => startAgain(newCode));
find("otp-change").addEventListener("click", () => history.back());
addEventListener("popstate", () => {
  const pending = session();
  say("");
  if (history.state?.otp !== "code" || pending === null) {
    showAsk();
  } else if (isEnded()) {
    showOver();
  } else {
    showEnter(pending);
  }
});

/** Show the step that the user is in: the second one, if a login has begun. */
function showFirst() {
  followMethod();
  const pending = recall();
  const hint = identifierField.defaultValue;
  const isOther = hint !== "" && hint !== pending?.identifier;
  if (pending === null || isOther || history.state?.otp === "ask") {
    history.replaceState({ otp: "ask" }, "");
    showAsk();
    return;
  }
  if (history.state?.otp !== "code") {
    history.replaceState({ otp: "ask" }, "");
    history.pushState({ otp: "code" }, "");
  }
  identifierField.value = pending.identifier;
  for (const each of ask.querySelectorAll("[name=via]")) {
    const choice = /** @type {HTMLInputElement} */ (each);
    choice.checked = choice.value === pending.method;
  }
  followMethod();
  showEnter(pending);
}

/** Go on without a question where a refresh is enough, and else ask. */
async function arrive() {
  if (!enter.hidden) {
    showStep(enter); // the first form was posted before this script had arrived
    return;
  }
  let isSignedIn = false;
  main.setAttribute("aria-busy", "true");
  try {
    isSignedIn = await refreshFirst();
  } catch (error) {
    showFirst();
    explain(/** @type {any} */ (error));
    return;
  } finally {
    main.removeAttribute("aria-busy");
  }
  if (isSignedIn) {
    goOn();
    return;
  }
  showFirst();
  if (refusesCookies()) {
    say(text("no_cookies"));
  }
}

arrive();
