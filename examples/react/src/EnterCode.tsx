import { resend } from "flask-otp-auth/client";
import { type FormEvent, useRef, useState } from "react";
import { signIn } from "./session";
import { useTask } from "./useTask";

const OVER = "This code does not work any more. Ask for a new one.";

interface Props {
  sessionId: string;
  identifier: string;
  startAgain: (reason?: string) => void;
}

export function EnterCode({ sessionId, identifier, startAgain }: Props) {
  const [code, setCode] = useState("");
  const field = useRef<HTMLInputElement>(null);
  const { busy, message, wait, run } = useTask();

  async function enter(): Promise<string | void> {
    const outcome = await signIn(sessionId, code);
    switch (outcome.status) {
      case "success":
        return; // the page of the person takes over
      case "invalid_code": {
        const left = outcome.remainingAttempts;
        setCode("");
        field.current?.focus();
        return `That code is wrong. You have ${left} ${left === 1 ? "try" : "tries"} left.`;
      }
      case "locked":
        return startAgain("That was one wrong code too many. Ask for a new one.");
      default:
        return startAgain(OVER);
    }
  }

  async function sendAgain(): Promise<string | void> {
    const outcome = await resend(sessionId);
    return outcome.status === "sent" ? "Another code is on its way." : startAgain(OVER);
  }

  function submit(event: FormEvent) {
    event.preventDefault();
    void run(enter);
  }

  return (
    <form onSubmit={submit}>
      <h1>Enter your code</h1>
      <p>
        We have sent it to <strong>{identifier}</strong>.
      </p>
      <p className="message" role="alert">{message}</p>
      <label>
        Code
        <input
          ref={field}
          name="code"
          inputMode="numeric"
          autoComplete="one-time-code"
          maxLength={64}
          value={code}
          onChange={(event) => setCode(event.target.value)}
          autoFocus
          required
        />
      </label>
      <button disabled={busy}>Sign in</button>
      <button
        type="button"
        className="plain"
        disabled={busy || wait > 0}
        onClick={() => run(sendAgain)}
      >
        {wait > 0 ? `Another code in ${wait} s` : "Send another code"}
      </button>
      <button type="button" className="plain" onClick={() => startAgain()}>
        Use another address
      </button>
    </form>
  );
}
