/**
 * Who is signed in on this phone.
 *
 * The tokens are in the keychain of iOS or behind the keystore of Android, and do not leave the
 * phone with a backup.
 */
import * as SecureStore from "expo-secure-store";
import { configure, initiate, logout, OtpError, refresh, verify } from "flask-otp-auth/client";
import type { Method } from "flask-otp-auth/client";

const API_URL = process.env.EXPO_PUBLIC_API_URL ?? "http://127.0.0.1:5000";
const TIMEOUT = 10_000; // milliseconds
const TOKENS = "otp.tokens";
const DEVICE_TOKEN = "otp.deviceToken";
const PENDING = "otp.pending";
const OPTIONS = { keychainAccessible: SecureStore.WHEN_UNLOCKED_THIS_DEVICE_ONLY };

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
let last: Promise<unknown> = Promise.resolve();
const listeners = new Set<() => void>();

/** Have a listener called whenever `status` may have changed. */
export function subscribe(listener: () => void) {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** Whether somebody is signed in, or if not, whether the server has ended the login. */
export function status() {
  return now;
}

/** Find out at the start of the app whether somebody is signed in. */
export async function restore() {
  become((await stored()) === null ? "signedOut" : "signedIn");
}

/**
 * Have a code sent; a phone that has signed in before says so.
 *
 * What has begun is kept: the system may kill the app while the message is read.
 */
export async function requestCode(identifier: string, method: Method): Promise<Pending> {
  const deviceToken = (await SecureStore.getItemAsync(DEVICE_TOKEN, OPTIONS)) ?? undefined;
  const { sessionId, ttl } = await initiate(identifier, method, { deviceToken });
  const pending = { sessionId, identifier, expires: Date.now() + ttl * 1000 };
  await SecureStore.setItemAsync(PENDING, JSON.stringify(pending), OPTIONS);
  return pending;
}

/** The login that has begun on this phone, while its code is good. */
export async function pendingLogin(): Promise<Pending | null> {
  const pending = JSON.parse((await SecureStore.getItemAsync(PENDING, OPTIONS)) ?? "null");
  return pending !== null && pending.expires > Date.now() ? pending : null;
}

/** Forget the login that has begun. */
export function abandonLogin(): Promise<void> {
  return SecureStore.deleteItemAsync(PENDING, OPTIONS);
}

/** Have a code judged, and sign in if it is right. */
export async function signIn(sessionId: string, code: string) {
  const outcome = await verify(sessionId, code);
  if (outcome.status === "success") {
    if (outcome.deviceToken) {
      await SecureStore.setItemAsync(DEVICE_TOKEN, outcome.deviceToken, OPTIONS);
    }
    await keep(outcome);
    await abandonLogin();
    become("signedIn");
  }
  return outcome;
}

/** Sign out; the server ends the login if it can be reached. */
export function signOut(): Promise<void> {
  return oneAtATime(async () => {
    const kept = await stored();
    try {
      if (kept !== null) {
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
  return oneAtATime(async () => {
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

function oneAtATime<T>(work: () => Promise<T>): Promise<T> {
  const mine = last.then(work, work);
  last = mine;
  return mine;
}

async function get(path: string, token: string) {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), TIMEOUT);
  try {
    const headers = { Authorization: `Bearer ${token}` };
    return await fetch(`${API_URL}${path}`, { headers, signal: limit.signal });
  } catch (cause) {
    throw new OtpError("offline", "The server cannot be reached", { cause });
  } finally {
    clearTimeout(timer);
  }
}

async function stored(): Promise<Tokens | null> {
  return JSON.parse((await SecureStore.getItemAsync(TOKENS, OPTIONS)) ?? "null");
}

async function tokens(): Promise<Tokens> {
  const kept = await stored();
  if (kept === null) {
    throw new OtpError("signedOut", "Nobody is signed in");
  }
  return kept;
}

async function keep({ token, refreshToken }: Partial<Tokens>): Promise<string> {
  await SecureStore.setItemAsync(TOKENS, JSON.stringify({ token, refreshToken }), OPTIONS);
  return token!;
}

async function forget(next: Status) {
  await SecureStore.deleteItemAsync(TOKENS, OPTIONS);
  await abandonLogin();
  become(next);
}

function become(next: Status) {
  now = next;
  listeners.forEach((listener) => listener());
}
