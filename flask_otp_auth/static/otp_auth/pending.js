// @ts-check
/** The session of the second step, which has to outlive a reload; it stays in this tab. */

/**
 * @typedef {object} Pending
 * @property {string} sessionId
 * @property {string} identifier
 * @property {import("./client.js").Method} method
 * @property {number} expires in milliseconds since 1970, by the clock of this device
 * @property {number} nextSend the same, when another code may be asked for
 * @property {number} resends how many may still be asked for
 */

const STORE = "flask-otp-auth login";

/** @param {Pending} pending */
export function remember(pending) {
  try {
    sessionStorage.setItem(STORE, JSON.stringify(pending));
  } catch {
    // a reload begins anew
  }
}

export function forget() {
  try {
    sessionStorage.removeItem(STORE);
  } catch {
    // nothing was kept
  }
}

/** @returns {Pending | null} one whose time is not over */
export function recall() {
  try {
    /** @type {Pending | null} */
    const found = JSON.parse(sessionStorage.getItem(STORE) ?? "null");
    return found !== null && found.expires > Date.now() ? found : null;
  } catch {
    return null;
  }
}
