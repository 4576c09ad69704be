// @ts-check
/** Has a code sent: the first of a login, or another one for the login that has begun. */

import { beforeSend } from "./before_send.js";
import { OtpError, initiate, resend } from "./client.js";
import { page } from "./page.js";
import { forget, pendingFor, remember } from "./pending.js";

/** @typedef {import("./pending.js").Pending} Pending */
/** @typedef {import("./client.js").Method} Method */

/**
 * Have a code sent, unless the one that was sent before has to do.
 *
 * @param {string} identifier
 * @param {Method} method
 * @returns {Promise<{pending: Pending, sent: "first" | "another" | "none"}>} "none" if another code
 *   cannot be sent now, while the one before still works
 * @throws {OtpError | import("./before_send.js").SendCancelled}
 */
export async function sendCode(identifier, method) {
  const pending = pendingFor(identifier, method);
  if (pending !== null) {
    if (pending.resends < 1 || pending.nextSend > Date.now()) {
      return { pending, sent: "none" };
    }
    const sent = await sendAnother(pending);
    if (sent !== null) {
      return { pending, sent };
    }
    forget(pending);
  }
  return { pending: await sendFirst(identifier, method), sent: "first" };
}

/** @param {string} identifier @param {Method} method @returns {Promise<Pending>} */
async function sendFirst(identifier, method) {
  const { sessionId, ttl } = await initiate(identifier, method, { headers: await beforeSend() });
  const now = Date.now();
  const pending = {
    sessionId,
    identifier,
    method,
    expires: now + ttl * 1000,
    nextSend: now + page.wait * 1000,
    resends: page.resends,
  };
  remember(pending);
  return pending;
}

/**
 * @param {Pending} pending
 * @returns {Promise<"another" | "none" | null>} null if the login has ended
 */
async function sendAnother(pending) {
  /** @type {"another" | "none"} */
  let sent = "another";
  try {
    const outcome = await resend(pending.sessionId, { headers: await beforeSend() });
    if (outcome.status !== "sent") {
      return null;
    }
    pending.resends -= 1;
    pending.nextSend = Date.now() + page.wait * 1000;
  } catch (error) {
    if (!(error instanceof OtpError && error.status === 429)) {
      throw error;
    }
    sent = "none";
    if (error.retryAfter === null) {
      pending.resends = 0;
    } else {
      pending.nextSend = Date.now() + error.retryAfter * 1000;
    }
  }
  remember(pending);
  return sent;
}
