/**
 * Who is signed in, in this browser.
 *
 * The tokens are in localStorage, where they outlive a reload and all tabs share them: a refresh
 * token works once, so tabs with a copy each would end their own login.
 */
import { configure, initiate, logout, OtpError, refresh, verify } from "flask-otp-auth/client";
import type { Method } from "flask-otp-auth/client";

const API_URL: string = import.meta.env.VITE_API_URL;
const TIMEOUT = 10_000; // milliseconds
const TOKENS = "otp.tokens";
const DEVICE_TOKEN = "otp.deviceToken";

configure({ baseUrl: `${API_URL}/otp`, timeout: TIMEOUT });

interface Tokens {
  token: string;
  refreshToken: string;
}

let ended = false;
const listeners = new Set<() => void>();
window.addEventListener("storage", tellListeners); // another tab has signed in or out

/** Have a listener called whenever `status` may have changed. */
export function subscribe(listener: () => void) {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** Whether somebody is signed in, or if not, whether the server has ended the login. */
export function status(): "signedIn" | "signedOut" | "ended" {
  if (stored() !== null) {
    return "signedIn";
  }
  return ended ? "ended" : "signedOut";
}

/** Have a code sent; a device that has signed in before says so. */
export function requestCode(identifier: string, method: Method) {
  const deviceToken = localStorage.getItem(DEVICE_TOKEN) ?? undefined;
  return initiate(identifier, method, { deviceToken });
}

/** Have a code judged, and sign in if it is right. */
export async function signIn(sessionId: string, code: string) {
  const outcome = await verify(sessionId, code);
  if (outcome.status === "success") {
    if (outcome.deviceToken) {
      localStorage.setItem(DEVICE_TOKEN, outcome.deviceToken);
    }
    keep(outcome);
  }
  return outcome;
}

/** Sign out, here and in the other tabs; the server ends the login if it can be reached. */
export function signOut(): Promise<void> {
  return oneTabAtATime(async () => {
    const kept = stored();
    try {
      if (kept !== null) {
        await logout({ token: kept.refreshToken });
      }
    } finally {
      forget();
    }
  });
}

/** Get JSON from a view behind `jwt_required`, with new tokens if the old ones have expired. */
export async function getJson<T>(path: string): Promise<T> {
  const { token } = tokens();
  let response = await get(path, token);
  if (response.status === 401) {
    response = await get(path, await renew(token));
  }
  if (!response.ok) {
    throw new OtpError("unexpectedAnswer", `${path} answered ${response.status}`);
  }
  return response.json();
}

/** Trade the refresh token for new tokens, unless that has been done since `stale` was read. */
function renew(stale: string): Promise<string> {
  return oneTabAtATime(async () => {
    const { token, refreshToken } = tokens();
    if (token !== stale) {
      return token;
    }
    try {
      return keep(await refresh({ refreshToken }));
    } catch (error) {
      if (error instanceof OtpError && error.code === "invalidRefreshToken") {
        ended = true;
        forget();
      }
      throw error;
    }
  });
}

function oneTabAtATime<T>(work: () => Promise<T>) {
  return navigator.locks.request(TOKENS, work);
}

async function get(path: string, token: string) {
  const headers = { Authorization: `Bearer ${token}` };
  try {
    return await fetch(`${API_URL}${path}`, { headers, signal: AbortSignal.timeout(TIMEOUT) });
  } catch (cause) {
    throw new OtpError("offline", "The server cannot be reached", { cause });
  }
}

function stored(): Tokens | null {
  return JSON.parse(localStorage.getItem(TOKENS) ?? "null");
}

function tokens(): Tokens {
  const kept = stored();
  if (kept === null) {
    throw new OtpError("signedOut", "Nobody is signed in");
  }
  return kept;
}

function keep({ token, refreshToken }: Partial<Tokens>): string {
  localStorage.setItem(TOKENS, JSON.stringify({ token, refreshToken }));
  ended = false;
  tellListeners();
  return token!;
}

function forget() {
  localStorage.removeItem(TOKENS);
  tellListeners();
}

function tellListeners() {
  listeners.forEach((listener) => listener());
}
