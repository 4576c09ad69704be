import { useEffect, useSyncExternalStore } from "react";
import { ActivityIndicator, ScrollView } from "react-native";
import { ProfileScreen } from "./ProfileScreen";
import { restore, status, subscribe } from "./session";
import { SignInScreen } from "./SignInScreen";
import { styles } from "./ui";

export function App() {
  const now = useSyncExternalStore(subscribe, status);
  useEffect(() => void restore(), []);
  const why = now === "ended" ? "Your login has ended. Please sign in again." : "";
  return (
    <ScrollView contentContainerStyle={styles.page} keyboardShouldPersistTaps="handled">
      {now === "unknown" && <ActivityIndicator />}
      {now === "signedIn" && <ProfileScreen />}
      {(now === "signedOut" || now === "ended") && <SignInScreen why={why} />}
    </ScrollView>
  );
}
