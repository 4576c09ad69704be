import { useEffect, useState } from "react";
import { getJson, signOut } from "./session";
import { useTask } from "./useTask";

interface User {
  id: string;
  identifier: string;
  name: string;
}

/** The protected page: what the API says of the person who is signed in. */
export function Profile() {
  const [user, setUser] = useState<User | null>(null);
  const { busy, message, run } = useTask();
  const load = () => run(async () => setUser(await getJson<User>("/me")));
  useEffect(() => void load(), []);

  return (
    <>
      <h1>{user ? `Welcome, ${user.name}` : "Welcome"}</h1>
      <p className="message" role="alert">{message}</p>
      {user && (
        <dl>
          <dt>Signed in as</dt>
          <dd>{user.identifier}</dd>
          <dt>User id</dt>
          <dd>{user.id}</dd>
        </dl>
      )}
      <button disabled={busy} onClick={load}>
        Load again
      </button>
      <button className="plain" disabled={busy} onClick={() => run(signOut)}>
        Sign out
      </button>
    </>
  );
}
