// @ts-check
/**
 * The endpoints of Flask-OTP-Auth for browsers, Node and React Native: no dependency.
 *
 * Each function resolves to an outcome with a `status`, or rejects with an OtpError whose `code`
 * says what stands in the way. It works with tokens in JSON and with cookies.
 *
 * @module
 */

/** @typedef {"sms" | "email"} Method */

/**
 * What `initiate` resolves to, and `resend` if another code is on its way.
 *
 * @typedef {object} Sent
 * @property {"sent"} status
 * @property {string} sessionId what `verify` and `resend` take
 * @property {Date} expiresAt when the code stops being right, by the clock of the server
 * @property {number} ttl seconds until then
 */

/** @typedef {{status: "expired"}} Expired the time of the code is over */
/** @typedef {{status: "not_found", message: string}} NotFound no such session, or no such user */
/** @typedef {{status: "locked", remainingAttempts: 0}} Locked the last try was wrong */
/** @typedef {{status: "invalid_code", remainingAttempts: number}} InvalidCode */

/**
 * A right code. The tokens are missing where they are in cookies.
 *
 * @typedef {object} SignedIn
 * @property {"success"} status
 * @property {any} user
 * @property {string} [token] the access token
 * @property {string} [refreshToken]
 * @property {string} [deviceToken] for the next `initiate` on this device
 */

/**
 * New tokens. They are missing where they are in cookies.
 *
 * @typedef {object} Refreshed
 * @property {"success"} status
 * @property {string} [token]
 * @property {string} [refreshToken] the one to keep; the one before does not work any more
 */

/**
 * @typedef {object} Configuration
 * @property {string} baseUrl where the endpoints are; "/otp" by default
 * @property {number} timeout milliseconds that one request may take; 30000 by default
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

/**
 * Say where the endpoints are, once, before the first call.
 *
 * @param {Partial<Configuration>} changes
 */
export function configure(changes) {
  Object.assign(configuration, changes);
}

/** Why a call gave no outcome. */
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
    /**
     * The `error.code` of the server, such as "tooManyRequests" or "invalidIdentifier"; or
     * "offline" if it could not be reached in time, or "unexpectedAnswer" if somebody else answered.
     */
    this.code = code;
    /** The HTTP status, 0 without an answer. */
    this.status = status;
    /** Seconds after which the same call may work, or null where waiting does not help. */
    this.retryAfter = retryAfter;
    /** Messages by member of the request, or null. */
    this.fields = fields;
    /** What the server's log names this error, or null. */
    this.id = id;
  }
}

/**
 * Start a session and have its code sent.
 *
 * @param {string} identifier a phone number or an email address
 * @param {Method} method
 * @param {{payload?: object, deviceToken?: string, signal?: AbortSignal}} [options]
 * @returns {Promise<Sent>}
 */
export async function initiate(identifier, method, { payload, deviceToken, signal } = {}) {
  const { data } = await post("initiate", { identifier, method, payload, deviceToken }, { signal });
  return sent(data);
}

/**
 * Have another code sent for a session; the one before keeps working.
 *
 * @param {string} sessionId
 * @param {{signal?: AbortSignal}} [options]
 * @returns {Promise<Sent | Expired | NotFound>}
 */
export async function resend(sessionId, { signal } = {}) {
  const { data } = await post("resend", { sessionId }, { signal });
  return data.status === undefined ? sent(data) : data;
}

/**
 * Have a typed code judged.
 *
 * @param {string} sessionId
 * @param {string} code as it was typed
 * @param {{signal?: AbortSignal}} [options]
 * @returns {Promise<SignedIn | InvalidCode | Locked | Expired | NotFound>}
 */
export async function verify(sessionId, code, { signal } = {}) {
  return (await post("verify", { sessionId, code }, { signal })).data;
}

/** @type {{refreshToken: string, answer: Promise<Refreshed>} | null} */
let exchange = null;

/**
 * Trade a refresh token, the one given or else that of the cookie, for new tokens.
 *
 * A refresh token works once, and a second use ends the login. So calls with the same token get
 * the same answer, and tabs of one browser wait for each other.
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
 * End the login of a token, the one given or else that of the cookies.
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
  const { accessCsrfCookie, refreshCsrfCookie } = configuration;
  await post("logout", undefined, { headers: csrf(accessCsrfCookie, refreshCsrfCookie), signal });
}

/**
 * @param {AbortSignal} [signal]
 * @returns {Promise<Refreshed>}
 */
function refreshCookie(signal) {
  const name = configuration.refreshCsrfCookie;
  const before = cookie(name);
  return oneAtATime(() => {
    const now = cookie(name);
    if (before !== null && now !== null && now !== before) {
      return { status: "success" }; // another tab has done it meanwhile
    }
    return refreshWith(csrf(name), signal);
  });
}

/**
 * @param {Record<string, string>} headers
 * @param {AbortSignal} [signal]
 * @returns {Promise<Refreshed>}
 */
async function refreshWith(headers, signal) {
  const { data } = await post("refresh", undefined, { headers, signal });
  return { status: "success", ...data };
}

let last = Promise.resolve();

/**
 * Run work when no other tab does, or where the browser cannot tell, when no other call does.
 *
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

/**
 * @param {any} data
 * @returns {Sent}
 */
function sent({ sessionId, expiresAt, ttl }) {
  return { status: "sent", sessionId, expiresAt: new Date(expiresAt), ttl };
}

/**
 * @param {string} name
 * @returns {string | null}
 */
function cookie(name) {
  const cookies = globalThis.document?.cookie.split("; ") ?? [];
  const found = cookies.find((each) => each.startsWith(`${name}=`));
  return found === undefined ? null : found.slice(name.length + 1);
}

/**
 * The header with the CSRF token of the first of the cookies that is there.
 *
 * @param {string[]} names
 * @returns {Record<string, string>}
 */
function csrf(...names) {
  const value = names.map(cookie).find((each) => each !== null);
  return value === undefined ? {} : { [configuration.csrfHeader]: String(value) };
}

/**
 * @param {string} path
 * @param {object | undefined} body
 * @param {{headers?: Record<string, string>, signal?: AbortSignal}} options
 * @returns {Promise<any>} the body of an answer with `data`, or {} of an empty one
 */
async function post(path, body, { headers = {}, signal } = {}) {
  const { baseUrl, credentials, timeout } = configuration;
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), timeout);
  const giveUp = () => limit.abort();
  signal?.addEventListener("abort", giveUp);
  if (signal?.aborted) {
    giveUp();
  }
  /** @type {Response} */
  let response;
  /** @type {any} */
  let answer;
  try {
    response = await fetch(`${baseUrl.replace(/\/+$/, "")}/${path}`, {
      method: "POST",
      headers: body === undefined ? headers : { "Content-Type": "application/json", ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      credentials,
      redirect: "error",
      signal: limit.signal,
    });
    answer = await response.text();
  } catch (cause) {
    if (signal?.aborted) {
      throw cause; // as with fetch itself
    }
    throw new OtpError("offline", "The server cannot be reached", { cause });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", giveUp);
  }
  return understand(response, answer);
}

/**
 * @param {Response} response
 * @param {string} text
 * @returns {any}
 */
function understand(response, text) {
  if (response.status === 204) {
    return {};
  }
  /** @type {any} */
  let body = null;
  try {
    body = JSON.parse(text);
  } catch {
    // somebody between us and the server has answered
  }
  if (body?.data) {
    return body;
  }
  const { status } = response;
  const error = body?.error;
  // Scripts of another origin see the number in the body, and only some headers.
  const retryAfter = error?.retryAfter ?? seconds(response.headers.get("Retry-After"));
  if (typeof error?.code !== "string") {
    throw new OtpError("unexpectedAnswer", `Unexpected answer: ${status}`, { status, retryAfter });
  }
  throw new OtpError(error.code, error.detail, { ...error, status, retryAfter });
}

/**
 * @param {string | null} header
 * @returns {number | null}
 */
function seconds(header) {
  return header !== null && /^[0-9]+$/.test(header) ? Number(header) : null;
}
