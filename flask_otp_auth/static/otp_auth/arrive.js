// @ts-check
/** Where the page leads to, and whether it has to ask anything before it does. */

import { OtpError, refresh } from "./client.js";
import { page } from "./page.js";

const MARK = "flask-otp-auth led to";
const CIRCLE = 4000; // milliseconds

/** Go on to where the user wanted to go. */
export function goOn() {
  try {
    sessionStorage.setItem(MARK, JSON.stringify({ next: page.next, at: Date.now() }));
  } catch {
    // without storage, the page does not refresh first
  }
  location.replace(nextUrl());
}

/** @returns {string} the URL of `next` if it is another page of this site, or of its root */
function nextUrl() {
  const url = new URL(page.next, location.origin);
  const isOfSite = url.protocol === location.protocol && url.host === location.host;
  return isOfSite && url.pathname !== location.pathname ? url.href : `${location.origin}/`;
}

/**
 * Use the refresh cookie instead of asking for a code, if there is one.
 *
 * Not if the site has sent the user back at once: whatever it lacks, another refresh is not it.
 *
 * @returns {Promise<boolean>} whether the user is signed in
 * @throws {OtpError} the server could not tell
 */
export async function refreshFirst() {
  if (!page.refresh || isCircle()) {
    return false;
  }
  try {
    await refresh();
    return true;
  } catch (error) {
    if (error instanceof OtpError && (error.code === "offline" || error.status >= 500)) {
      throw error;
    }
    return false;
  }
}

/** @returns {boolean} whether this page has led to the same place moments ago, or cannot tell */
function isCircle() {
  try {
    const mark = JSON.parse(sessionStorage.getItem(MARK) ?? "null");
    // The time origin is the start of the navigation, however slow the network is.
    return mark?.next === page.next && performance.timeOrigin - mark.at < CIRCLE;
  } catch {
    return true;
  }
}

/** @returns {boolean} whether the browser refuses such cookies as the server sets */
export function refusesCookies() {
  const attributes = `SameSite=Lax${page.cookies.secure ? "; Secure" : ""}`;
  document.cookie = `otp_probe=1; Max-Age=60; ${attributes}`;
  const isKept = hasCookie("otp_probe");
  document.cookie = `otp_probe=; Max-Age=0; ${attributes}`;
  return !isKept;
}

/** @returns {boolean} whether a login has left no cookie, although the server has set it */
export function hasLostCookies() {
  return page.cookies.access !== null && !hasCookie(page.cookies.access);
}

/** @param {string} name */
function hasCookie(name) {
  return document.cookie.split("; ").some((each) => each.startsWith(`${name}=`));
}
