import { useEffect, useSyncExternalStore } from "react";
import { Profile } from "./Profile";
import { restore, status, subscribe } from "./session";
import { SignIn } from "./SignIn";

export function App() {
  const now = useSyncExternalStore(subscribe, status);
  useEffect(() => void restore(), []);
  if (now === "unknown") {
    return null; // for a moment, until the tokens have been looked up
  }
  const why = now === "ended" ? "Your login has ended. Please sign in again." : "";
  return <main>{now === "signedIn" ? <Profile /> : <SignIn why={why} />}</main>;
}
