import { useEffect, useState } from "react";
import { Text } from "react-native";
import { getJson, signOut } from "./session";
import { Button, Heading, Message } from "./ui";
import { useTask } from "./useTask";

interface User {
  id: string;
  identifier: string;
  name: string;
}

/** The protected screen: what the API says of the person who is signed in. */
export function ProfileScreen() {
  const [user, setUser] = useState<User | null>(null);
  const { busy, message, run } = useTask();
  const load = () => run(async () => setUser(await getJson<User>("/me")));
  useEffect(() => void load(), []);

  return (
    <>
      <Heading>{user ? `Welcome, ${user.name}` : "Welcome"}</Heading>
      <Message>{message}</Message>
      {user && <Text>Signed in as {user.identifier}</Text>}
      <Button title="Load again" disabled={busy} onPress={load} />
      <Button plain title="Sign out" disabled={busy} onPress={() => run(signOut)} />
    </>
  );
}
