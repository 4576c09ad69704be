// @ts-check
/**
 * Keeps the login that has begun, so that it survives a reload, a closed tab and another tab. What
 * is kept tells nothing of a code.
 */

import { page } from "./page.js";

/**
 * @typedef {object} Pending
 * @property {string} sessionId
 * @property {string} identifier
 * @property {import("./client.js").Method} method
 * @property {number} expires when the code expires, in milliseconds since 1970 on this device
 * @property {number} nextSend when another code may be sent, in milliseconds since 1970
 * @property {number} resends how many more codes may be sent
 */

// client.js removes what begins like this at a logout.
const STORE = `flask-otp-auth login ${page.baseUrl}`;

/** @type {Pending | null} */
let kept = null; // for a browser without storage

/** @param {Pending} pending */
export function remember(pending) {
  kept = pending;
  try {
    localStorage.setItem(STORE, JSON.stringify(pending));
  } catch {
    // without storage, a reload starts from the beginning
  }
}

/** @param {Pending | null} pending the one to forget; that of another tab stays */
export function forget(pending) {
  const stored = recall();
  kept = null;
  try {
    if (stored === null || stored.sessionId === pending?.sessionId) {
      localStorage.removeItem(STORE);
    }
  } catch {
    // without storage, nothing was kept
  }
}

/** @returns {Pending | null} the login that has begun, unless its code has expired */
export function recall() {
  let found = kept;
  try {
    found = JSON.parse(localStorage.getItem(STORE) ?? "null");
  } catch {
    // without storage, there is what this page knows
  }
  return found !== null && found.expires > Date.now() ? found : null;
}

/**
 * Return the login that has begun for this identifier, however that is written.
 *
 * @param {string} identifier
 * @param {import("./client.js").Method} method
 */
export function pendingFor(identifier, method) {
  const found = recall();
  const isSame = found?.method === method && plain(found.identifier, method) === plain(identifier, method);
  return isSame ? found : null;
}

/** @param {string} identifier @param {import("./client.js").Method} method */
function plain(identifier, method) {
  return method === "sms" ? identifier.replace(/[^+\p{Nd}]/gu, "") : identifier.trim().toLowerCase();
}
