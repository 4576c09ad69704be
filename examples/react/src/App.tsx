import { useSyncExternalStore } from "react";
import { Profile } from "./Profile";
import { status, subscribe } from "./session";
import { SignIn } from "./SignIn";

export function App() {
  const now = useSyncExternalStore(subscribe, status);
  const why = now === "ended" ? "Your login has ended. Please sign in again." : "";
  return <main>{now === "signedIn" ? <Profile /> : <SignIn why={why} />}</main>;
}
