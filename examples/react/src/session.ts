/**
 * Who is signed in, in this browser.
 *
 * The tokens outlive a reload, and all tabs share them and take turns: a tab that went on with an
 * older refresh token than another one would end the login.
 */
import { configure, initiate, logout, OtpError, refresh, verify } from "flask-otp-auth/client";
import type { Method } from "flask-otp-auth/client";
import { load, remove, save } from "./storage";

const API_URL: string = import.meta.env.VITE_API_URL;
const TIMEOUT = 10_000; // milliseconds
const TOKENS = "tokens";
const DEVICE_TOKEN = "deviceToken";
const PENDING = "pending";

configure({ baseUrl: `${API_URL}/otp`, timeout: TIMEOUT });

interface Tokens {
  token: string;
  refreshToken: string;
}

/** A login that has begun: its session, whose code was sent to the identifier. */
export interface Pending {
  sessionId: string;
  identifier: string;
  expires: number; // milliseconds since 1970
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

/** Have a code sent; a device that has signed in before says so. A reload finds what has begun. */
export async function requestCode(identifier: string, method: Method): Promise<Pending> {
  const deviceToken = await load<string>(DEVICE_TOKEN);
  const { sessionId, ttl } = await initiate(identifier, method, { deviceToken });
  const pending = { sessionId, identifier, expires: Date.now() + ttl * 1000 };
  await save(PENDING, pending);
  return pending;
}

/** The login that has begun here, in whichever tab, while its code is good. */
export async function pendingLogin(): Promise<Pending | null> {
  const pending = await load<Pending>(PENDING);
  return pending !== undefined && pending.expires > Date.now() ? pending : null;
}

/** Forget the login that has begun. */
export function abandonLogin(): Promise<void> {
  return remove(PENDING);
}

/** Have a code judged, and sign in if it is right. */
export async function signIn(sessionId: string, code: string) {
  const outcome = await verify(sessionId, code);
  if (outcome.status === "success") {
    if (outcome.deviceToken) {
      await save(DEVICE_TOKEN, outcome.deviceToken);
    }
    await keep(outcome);
    await abandonLogin();
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
  await abandonLogin();
  become(next);
  tabs.postMessage("signed out");
}

function become(next: Status) {
  now = next;
  listeners.forEach((listener) => listener());
}
