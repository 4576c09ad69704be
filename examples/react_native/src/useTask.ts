import { OtpError } from "flask-otp-auth/client";
import { useEffect, useState } from "react";

/** What a failed call means to the person in front of the page. */
function explain(error: OtpError): string {
  switch (error.code) {
    case "offline":
      return "The server cannot be reached. Check your connection and try again.";
    case "tooManyRequests":
      return "Too many codes were asked for. Please wait a little.";
    case "identifierLocked":
      return error.retryAfter === null
        ? "There were too many wrong codes. Please contact us."
        : "There were too many wrong codes. Please wait a little.";
    case "tooManyResends":
      return "No more codes can be sent. Please start again.";
    case "serviceUnavailable":
      return "The service is not available right now. Please wait a little.";
    default:
      return error.message;
  }
}

/** Seconds until the end of a wait, and a function that starts one. */
function useWait(): [number, (seconds: number) => void] {
  const [until, setUntil] = useState(0);
  const [now, setNow] = useState(0);
  const left = Math.max(0, Math.ceil((until - now) / 1000));
  useEffect(() => {
    if (left > 0) {
      const timer = setInterval(() => setNow(Date.now()), 250);
      return () => clearInterval(timer);
    }
  }, [left > 0]);
  const start = (seconds: number) => {
    setNow(Date.now());
    setUntil(Date.now() + seconds * 1000);
  };
  return [left, start];
}

/**
 * Calls of the API, one at a time.
 *
 * `run` takes a function that returns what there is to say afterwards, if anything, and `say` says
 * it without a call. `wait` counts the seconds down that the server asks for.
 */
export function useTask(firstMessage = "") {
  const [busy, setBusy] = useState(false);
  const [message, setMessage] = useState(firstMessage);
  const [wait, startWait] = useWait();
  async function run(work: () => Promise<string | void>) {
    setBusy(true);
    try {
      setMessage((await work()) ?? "");
    } catch (error) {
      if (!(error instanceof OtpError)) {
        throw error;
      }
      setMessage(explain(error));
      startWait(error.retryAfter ?? 0);
    } finally {
      setBusy(false);
    }
  }
  return { busy, message, wait, run, say: setMessage };
}
