// @ts-check
/**
 * A client for the endpoints of Flask-OTP-Auth in browsers, Node and React Native, without
 * dependencies. Each function except `logout` resolves to a result with a `status`. All of them
 * reject with an OtpError, whose `code` says why.
 *
 * @module
 */

/** @typedef {"sms" | "email"} Method */
/** @typedef {{headers?: Record<string, string>, signal?: AbortSignal}} Options of a request */

/**
 * @typedef {object} Sent a code has been sent
 * @property {"sent"} status
 * @property {string} sessionId the session id for `verify` and `resend`
 * @property {Date} expiresAt when the code expires, by the clock of the server
 * @property {number} ttl the seconds until then
 */

/** @typedef {{status: "expired"}} Expired the code has expired */
/** @typedef {{status: "not_found", message: string}} NotFound no such session, or no such user */
/** @typedef {{status: "locked", remainingAttempts: 0}} Locked no attempts are left */
/** @typedef {{status: "invalid_code", remainingAttempts: number}} InvalidCode */

/**
 * @typedef {object} SignedIn a correct code; the tokens are missing if they are sent in cookies
 * @property {"success"} status
 * @property {any} user
 * @property {string} [token] the access token
 * @property {string} [refreshToken]
 * @property {string} [deviceToken] for the next `initiate` on this device
 */

/**
 * @typedef {object} Refreshed the tokens are missing if they are sent in cookies
 * @property {"success"} status
 * @property {string} [token]
 * @property {string} [refreshToken] the new refresh token; using it ends the old one
 */

/**
 * @typedef {object} Configuration
 * @property {string} baseUrl the URL of the endpoints; "/otp" by default
 * @property {number} timeout the milliseconds that a request may take; 30000 by default
 * @property {RequestCredentials} credentials of `fetch`; "include" for cookies of another origin
 * @property {string} accessCsrfCookie Flask-JWT-Extended's JWT_ACCESS_CSRF_COOKIE_NAME
 * @property {string} refreshCsrfCookie Flask-JWT-Extended's JWT_REFRESH_CSRF_COOKIE_NAME
 * @property {string} csrfHeader Flask-JWT-Extended's JWT_ACCESS_CSRF_HEADER_NAME
 */

/** @type {Configuration} */
const configuration = {
  baseUrl: "/otp",
  timeout: 30000,
  credentials: "same-origin",
  accessCsrfCookie: "csrf_access_token",
  refreshCsrfCookie: "csrf_refresh_token",
  csrfHeader: "X-CSRF-TOKEN",
};

/** @param {Partial<Configuration>} changes to be made before the first request */
export function configure(changes) {
  Object.assign(configuration, changes);
}

/** The reason why a request failed. */
export class OtpError extends Error {
  /**
   * @param {string} code
   * @param {string} detail
   * @param {{status?: number, id?: string | null, retryAfter?: number | null,
   *   fields?: Record<string, string[]> | null, cause?: unknown}} [more]
   */
  constructor(code, detail, { status = 0, id = null, retryAfter = null, fields = null, cause } = {}) {
    super(detail, { cause });
    this.name = "OtpError";
    /** That of the server; "offline" if it cannot be reached, "unexpectedAnswer" from others. */
    this.code = code;
    this.status = status; // the HTTP status, or 0 if there was no response
    this.retryAfter = retryAfter; // the seconds to wait, or null if waiting does not help
    this.fields = fields; // the messages for each invalid member of the request, or null
    this.id = id; // the id of the error in the server's log, or null
  }
}

/**
 * Start a session and send its code.
 *
 * @param {string} identifier a phone number or an email address
 * @param {Method} method
 * @param {{payload?: object, deviceToken?: string} & Options} [options]
 * @returns {Promise<Sent>}
 */
export async function initiate(identifier, method, { payload, deviceToken, ...options } = {}) {
  const body = { identifier, method, payload, deviceToken };
  return sent((await post("initiate", body, options)).data);
}

/**
 * Send another code for a session. The earlier codes stay valid.
 *
 * @param {string} sessionId
 * @param {Options} [options]
 * @returns {Promise<Sent | Expired | NotFound>}
 */
export async function resend(sessionId, options) {
  const { data } = await post("resend", { sessionId }, options);
  return data.status === undefined ? sent(data) : data;
}

/**
 * Check a code, and sign in if it is correct.
 *
 * @param {string} sessionId
 * @param {string} code the code as it was typed
 * @param {Options} [options]
 * @returns {Promise<SignedIn | InvalidCode | Locked | Expired | NotFound>}
 */
export async function verify(sessionId, code, options) {
  return (await post("verify", { sessionId, code }, options)).data;
}

/** @type {{refreshToken: string, answer: Promise<Refreshed>} | null} */
let exchange = null;

/**
 * Exchange a refresh token, the given one or else that of the cookie, for new tokens.
 *
 * Once one of its successors has been used, a refresh token ends the login. Calls with the same
 * token therefore share one response, and the tabs of a browser take turns.
 *
 * @param {{refreshToken?: string, signal?: AbortSignal}} [options]
 * @returns {Promise<Refreshed>}
 */
export function refresh({ refreshToken, signal } = {}) {
  if (refreshToken === undefined) {
    return refreshCookie(signal);
  }
  if (exchange?.refreshToken !== refreshToken) {
    const answer = refreshWith({ Authorization: `Bearer ${refreshToken}` }, signal);
    const mine = { refreshToken, answer };
    exchange = mine;
    answer.catch(() => {
      if (exchange === mine) {
        exchange = null;
      }
    });
  }
  return exchange.answer;
}

/**
 * Log out: revoke the given token, or else those of the cookies.
 *
 * @param {{token?: string, signal?: AbortSignal}} [options] an access or a refresh token
 * @returns {Promise<void>}
 */
export async function logout({ token, signal } = {}) {
  exchange = null;
  if (token !== undefined) {
    await post("logout", undefined, { headers: { Authorization: `Bearer ${token}` }, signal });
    return;
  }
  forgetLogin();
  const { accessCsrfCookie, refreshCsrfCookie } = configuration;
  await post("logout", undefined, { headers: csrf(accessCsrfCookie, refreshCsrfCookie), signal });
}

/** Forget what the login page (pending.js) keeps of a login that has begun. */
function forgetLogin() {
  try {
    const { localStorage } = /** @type {Window} */ (globalThis.document.defaultView);
    const kept = Object.keys(localStorage).filter((key) => key.startsWith("flask-otp-auth login"));
    kept.forEach((key) => localStorage.removeItem(key));
  } catch {
    // without storage, nothing was kept
  }
}

/** @param {AbortSignal} [signal] @returns {Promise<Refreshed>} */
function refreshCookie(signal) {
  const name = configuration.refreshCsrfCookie;
  const before = cookie(name);
  const isDone = () => before !== null && ![before, null].includes(cookie(name)); // by another tab
  return oneAtATime(async () => {
    try {
      return isDone() ? { status: "success" } : await refreshWith(csrf(name), signal);
    } catch (error) {
      if (isDone()) {
        return { status: "success" };
      }
      throw error;
    }
  });
}

/** @param {Record<string, string>} headers @param {AbortSignal} [signal] @returns {Promise<Refreshed>} */
async function refreshWith(headers, signal) {
  const { data } = await post("refresh", undefined, { headers, signal }, true);
  return { status: "success", ...data };
}

let last = Promise.resolve();

/** Run `work` while no other tab does, or without the Web Locks API, while no other call does.
 * @template T
 * @param {() => T | Promise<T>} work
 * @returns {Promise<T>}
 */
function oneAtATime(work) {
  if (globalThis.navigator?.locks) {
    return navigator.locks.request("flask-otp-auth refresh", async () => work());
  }
  const mine = last.then(work);
  last = mine.then(() => {}, () => {});
  return mine;
}

/** @param {any} data @returns {Sent} */
const sent = (data) => ({ ...data, status: "sent", expiresAt: new Date(data.expiresAt) });

/** @param {string} name @returns {string | null} */
function cookie(name) {
  const cookies = globalThis.document?.cookie.split("; ") ?? [];
  const found = cookies.find((each) => each.startsWith(`${name}=`));
  return found === undefined ? null : found.slice(name.length + 1);
}

/** @param {string[]} names @returns {Record<string, string>} with the first of these cookies */
function csrf(...names) {
  const value = names.map(cookie).find((each) => each !== null);
  return value === undefined ? {} : { [configuration.csrfHeader]: String(value) };
}

/**
 * @param {string} path
 * @param {object | undefined} body
 * @param {Options} [options]
 * @param {boolean} [keepalive] whether the request goes on when its page is left
 * @returns {Promise<any>} the body of a successful response, or {} if it is empty
 */
async function post(path, body, { headers = {}, signal } = {}, keepalive = false) {
  const { baseUrl, credentials, timeout } = configuration;
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), timeout);
  const giveUp = () => limit.abort();
  signal?.addEventListener("abort", giveUp);
  if (signal?.aborted) {
    giveUp();
  }
  try {
    const response = await fetch(`${baseUrl.replace(/\/+$/, "")}/${path}`, {
      method: "POST",
      headers: body === undefined ? headers : { ...headers, "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      credentials,
      keepalive,
      redirect: "error",
      signal: limit.signal,
    });
    return understand(response, await response.text());
  } catch (cause) {
    if (signal?.aborted || cause instanceof OtpError) {
      throw cause; // an abort as fetch throws it
    }
    throw new OtpError("offline", "The server cannot be reached", { cause });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", giveUp);
  }
}

/** @param {Response} response @param {string} text @returns {any} */
function understand(response, text) {
  if (response.status === 204) {
    return {};
  }
  /** @type {any} */
  let body = null;
  try {
    body = JSON.parse(text);
  } catch {
    // not a response of ours, but perhaps of a proxy
  }
  if (body?.data) {
    return body;
  }
  const { status } = response;
  const error = body?.error;
  // Scripts of another origin cannot read the header unless the server exposes it.
  const header = Number(response.headers.get("Retry-After") || NaN); // it may also be a date
  const retryAfter = error?.retryAfter ?? (Number.isFinite(header) ? header : null);
  if (typeof error?.code !== "string") {
    throw new OtpError("unexpectedAnswer", `Unexpected answer: ${status}`, { status, retryAfter });
  }
  throw new OtpError(error.code, error.detail, { ...error, status, retryAfter });
}
