/**
 * Who is signed in, in this browser.
 *
 * The tokens outlive a reload, and all tabs share them and take turns: a refresh token works once,
 * so tabs with a copy each would end their own login.
 */
import { configure, initiate, logout, OtpError, refresh, verify } from "flask-otp-auth/client";
import type { Method } from "flask-otp-auth/client";
import { load, remove, save } from "./storage";

const API_URL: string = import.meta.env.VITE_API_URL;
const TIMEOUT = 10_000; // milliseconds
const TOKENS = "tokens";
const DEVICE_TOKEN = "deviceToken";

configure({ baseUrl: `${API_URL}/otp`, timeout: TIMEOUT });

interface Tokens {
  token: string;
  refreshToken: string;
}

type Status = "unknown" | "signedIn" | "signedOut" | "ended";

let now: Status = "unknown";
const listeners = new Set<() => void>();
const tabs = new BroadcastChannel("otp");
tabs.onmessage = restore; // another tab has signed in or out

/** Have a listener called whenever `status` may have changed. */
export function subscribe(listener: () => void) {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** Whether somebody is signed in, or if not, whether the server has ended the login. */
export function status() {
  return now;
}

/** Find out at the start whether somebody is signed in. */
export async function restore() {
  become((await load(TOKENS)) === undefined ? "signedOut" : "signedIn");
}

/** Have a code sent; a device that has signed in before says so. */
export async function requestCode(identifier: string, method: Method) {
  return initiate(identifier, method, { deviceToken: await load<string>(DEVICE_TOKEN) });
}

/** Have a code judged, and sign in if it is right. */
export async function signIn(sessionId: string, code: string) {
  const outcome = await verify(sessionId, code);
  if (outcome.status === "success") {
    if (outcome.deviceToken) {
      await save(DEVICE_TOKEN, outcome.deviceToken);
    }
    await keep(outcome);
    become("signedIn");
    tabs.postMessage("signed in");
  }
  return outcome;
}

/** Sign out, here and in the other tabs; the server ends the login if it can be reached. */
export function signOut(): Promise<void> {
  return oneTabAtATime(async () => {
    const kept = await load<Tokens>(TOKENS);
    try {
      if (kept !== undefined) {
        await logout({ token: kept.refreshToken });
      }
    } finally {
      await forget("signedOut");
    }
  });
}

/** Get JSON from a view behind `jwt_required`, with new tokens if the old ones have expired. */
export async function getJson<T>(path: string): Promise<T> {
  const { token } = await tokens();
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
    const { token, refreshToken } = await tokens();
    if (token !== stale) {
      return token;
    }
    try {
      return await keep(await refresh({ refreshToken }));
    } catch (error) {
      if (error instanceof OtpError && error.code === "invalidRefreshToken") {
        await forget("ended");
      }
      throw error;
    }
  });
}

function oneTabAtATime<T>(work: () => Promise<T>) {
  return navigator.locks.request("otp", work);
}

async function get(path: string, token: string) {
  const headers = { Authorization: `Bearer ${token}` };
  try {
    return await fetch(`${API_URL}${path}`, { headers, signal: AbortSignal.timeout(TIMEOUT) });
  } catch (cause) {
    throw new OtpError("offline", "The server cannot be reached", { cause });
  }
}

async function tokens(): Promise<Tokens> {
  const kept = await load<Tokens>(TOKENS);
  if (kept === undefined) {
    throw new OtpError("signedOut", "Nobody is signed in");
  }
  return kept;
}

async function keep({ token, refreshToken }: Partial<Tokens>): Promise<string> {
  await save(TOKENS, { token, refreshToken });
  return token!;
}

async function forget(next: Status) {
  await remove(TOKENS);
  become(next);
  tabs.postMessage("signed out");
}

function become(next: Status) {
  now = next;
  listeners.forEach((listener) => listener());
}
