// @ts-check
/** Keeps the session of the second step in the tab, so that it survives a reload. */

/**
 * @typedef {object} Pending
 * @property {string} sessionId
 * @property {string} identifier
 * @property {import("./client.js").Method} method
 * @property {number} expires when the code expires, in milliseconds since 1970 on this device
 * @property {number} nextSend when another code may be sent, in milliseconds since 1970
 * @property {number} resends how many more codes may be sent
 */

const STORE = "flask-otp-auth login";

/** @param {Pending} pending */
export function remember(pending) {
  try {
    sessionStorage.setItem(STORE, JSON.stringify(pending));
  } catch {
    // without storage, a reload starts from the beginning
  }
}

export function forget() {
  try {
    sessionStorage.removeItem(STORE);
  } catch {
    // without storage, nothing was kept
  }
}

/** @returns {Pending | null} the session, unless its code has expired */
export function recall() {
  try {
    /** @type {Pending | null} */
    const found = JSON.parse(sessionStorage.getItem(STORE) ?? "null");
    return found !== null && found.expires > Date.now() ? found : null;
  } catch {
    return null;
  }
}
