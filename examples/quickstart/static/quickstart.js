"use strict";

const find = (id) => document.getElementById(id);
const ask = find("ask");
const enter = find("enter");
const result = find("result");
const message = find("message");
const paths = document.body.dataset;

let sessionId = null;

function say(text, bad = false) {
  message.textContent = text;
  message.className = text ? (bad ? "message bad" : "message") : "";
}

function show(part) {
  for (const each of [ask, enter, result]) {
    each.hidden = each !== part;
  }
}

async function call(path, options) {
  const response = await fetch(path, options);
  const isJson = (response.headers.get("Content-Type") || "").startsWith("application/json");
  return { response, body: isJson ? await response.json() : {} };
}

function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  return call(path, { method: "POST", headers, body: JSON.stringify(body) });
}

/* What went wrong, in words: an outcome of verify, an error object, or whatever else came back. */
function explain({ response, body }) {
  const wait = Number(response.headers.get("Retry-After"));
  const time = `${wait} second${wait === 1 ? "" : "s"}`;
  const later = wait > 0 ? ` Try again in ${time}.` : "";
  const { data, error } = body;
  if (wait > 0 && error && error.code === "tooManyRequests") {
    return `A code was sent there a moment ago. You can ask for the next one in ${time}.`;
  }
  if (wait > 0 && error && error.code === "identifierLocked") {
    return `Too many wrong codes were typed. You can ask for the next one in ${time}.`;
  }
  if (data && data.status === "invalid_code") {
    const left = data.remainingAttempts;
    return `${data.message}. ${left} ${left === 1 ? "try" : "tries"} left.`;
  }
  if (data && data.message) {
    return data.message + later;
  }
  if (error) {
    const fields = Object.entries(error.fields || {}).map(([name, texts]) => `${name}: ${texts}`);
    return [error.detail, ...fields].join(" - ") + later;
  }
  return `The server answered ${response.status} ${response.statusText}.${later}`;
}

/* Run one step of a form: no second click meanwhile, and no failure without a word. */
function onSubmit(form, field, step) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    field.removeAttribute("aria-invalid");
    say("");
    try {
      await step();
    } catch {
      say("The server cannot be reached. Does the demo still run?", true);
    } finally {
      button.disabled = false;
    }
  });
}

function refuse(field, answer) {
  say(explain(answer), true);
  field.setAttribute("aria-invalid", "true");
  field.focus();
}

onSubmit(ask, ask.identifier, async () => {
  const identifier = ask.identifier.value;
  const answer = await post(paths.initiate, { identifier, method: ask.method.value });
  if (!answer.response.ok) {
    refuse(ask.identifier, answer);
    return;
  }
  const { data } = answer.body;
  sessionId = data.sessionId;
  const until = new Date(data.expiresAt).toLocaleTimeString();
  find("sent").textContent = `A code for ${identifier} is on its way. It is good until ${until}.`;
  enter.reset();
  show(enter);
  enter.code.focus();
});

onSubmit(enter, enter.code, async () => {
  const answer = await post(paths.verify, { sessionId, code: enter.code.value });
  if (!answer.response.ok) {
    refuse(enter.code, answer);
    enter.code.select();
    return;
  }
  const { data } = answer.body;
  const headers = { Authorization: `Bearer ${data.token}` };
  const me = await call(paths.me, { headers });
  find("answer").textContent = JSON.stringify(data, null, 2);
  find("me").textContent = me.response.ok ? JSON.stringify(me.body, null, 2) : explain(me);
  show(result);
  find("result-title").focus();
});

find("resend").addEventListener("click", async ({ currentTarget: button }) => {
  button.disabled = true;
  say("");
  try {
    const answer = await post(paths.resend, { sessionId });
    say(answer.response.ok ? "Another code is on its way." : explain(answer), !answer.response.ok);
  } catch {
    say("The server cannot be reached. Does the demo still run?", true);
  } finally {
    button.disabled = false;
  }
  enter.code.focus();
});

for (const button of document.querySelectorAll("[data-restart]")) {
  button.addEventListener("click", () => {
    sessionId = null;
    say("");
    show(ask);
    ask.identifier.focus();
  });
}

for (const radio of ask.querySelectorAll("[name=method]")) {
  radio.addEventListener("change", () => {
    const sms = radio.value === "sms" && radio.checked;
    const field = ask.identifier;
    field.type = sms ? "tel" : "email";
    field.autocomplete = sms ? "tel" : "email";
    field.labels[0].textContent = sms ? "Phone number" : "Email address";
  });
}
