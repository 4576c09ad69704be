import type { Method } from "flask-otp-auth/client";
import { type FormEvent, useEffect, useState } from "react";
import { EnterCode } from "./EnterCode";
import { abandonLogin, type Pending, pendingLogin, requestCode } from "./session";
import { useTask } from "./useTask";

export function SignIn({ why }: { why: string }) {
  const [method, setMethod] = useState<Method>("email");
  const [identifier, setIdentifier] = useState("");
  const [pending, setPending] = useState<Pending | null>(null);
  const { busy, message, wait, run, say } = useTask(why);

  useEffect(() => void pendingLogin().then(setPending), []);

  function submit(event: FormEvent) {
    event.preventDefault();
    void run(async () => setPending(await requestCode(identifier, method)));
  }

  function startAgain(reason = "") {
    void abandonLogin();
    setPending(null);
    say(reason);
  }

  if (pending !== null) {
    return <EnterCode {...pending} startAgain={startAgain} />;
  }
  return (
    <form onSubmit={submit}>
      <h1>Sign in</h1>
      <p className="message" role="alert">{message}</p>
      <fieldset>
        <legend>How should the code reach you?</legend>
        <label>
          <input type="radio" checked={method === "email"} onChange={() => setMethod("email")} />{" "}
          Email
        </label>
        <label>
          <input type="radio" checked={method === "sms"} onChange={() => setMethod("sms")} /> SMS
        </label>
      </fieldset>
      <label>
        {method === "email" ? "Email address" : "Phone number"}
        <input
          name="identifier"
          type={method === "email" ? "email" : "tel"}
          autoComplete={method === "email" ? "email" : "tel"}
          value={identifier}
          onChange={(event) => setIdentifier(event.target.value)}
          autoFocus
          required
        />
      </label>
      <button disabled={busy || wait > 0}>
        {wait > 0 ? `Send the code in ${wait} s` : "Send the code"}
      </button>
    </form>
  );
}
