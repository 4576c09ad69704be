// @ts-check
/** Lets the application act before a code is sent, for example to ask for a captcha. */

/** Why a code was not asked for. */
export class SendCancelled extends Error {
  /** @param {boolean} isExplained whether the application has told the user itself */
  constructor(isExplained) {
    super("The application has cancelled the sending");
    this.isExplained = isExplained;
  }
}

/**
 * Dispatch `otp:before-send` on the document, and wait for what its listeners ask to wait for.
 *
 * @returns {Promise<Record<string, string>>} the headers that the request has to carry
 * @throws {SendCancelled} a listener has cancelled the event, or one of its promises was rejected
 */
export async function beforeSend() {
  /** @type {Promise<unknown>[]} */
  const waits = [];
  /** @type {Record<string, string>} */
  const headers = {};
  const detail = {
    headers,
    wait: (/** @type {Promise<unknown>} */ promise) => void waits.push(Promise.resolve(promise)),
  };
  const event = new CustomEvent("otp:before-send", { cancelable: true, detail });
  if (!document.dispatchEvent(event)) {
    throw new SendCancelled(true);
  }
  try {
    await Promise.all(waits);
  } catch {
    throw new SendCancelled(false);
  }
  return detail.headers;
}
