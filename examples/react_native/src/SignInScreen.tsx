import type { Method } from "flask-otp-auth/client";
import { useEffect, useState } from "react";
import { Pressable, Text, TextInput, View } from "react-native";
import { EnterCode } from "./EnterCode";
import { abandonLogin, type Pending, pendingLogin, requestCode } from "./session";
import { Button, Heading, Message, styles } from "./ui";
import { useTask } from "./useTask";

const METHODS: { method: Method; name: string }[] = [
  { method: "sms", name: "SMS" },
  { method: "email", name: "Email" },
];

export function SignInScreen({ why }: { why: string }) {
  const [method, setMethod] = useState<Method>("sms");
  const [identifier, setIdentifier] = useState("");
  const [pending, setPending] = useState<Pending | null>(null);
  const { busy, message, wait, run, say } = useTask(why);

  useEffect(() => void pendingLogin().then(setPending), []);

  function startAgain(reason = "") {
    void abandonLogin();
    setPending(null);
    say(reason);
  }

  if (pending !== null) {
    return <EnterCode {...pending} startAgain={startAgain} />;
  }
  const send = () => run(async () => setPending(await requestCode(identifier, method)));
  return (
    <>
      <Heading>Sign in</Heading>
      <Message>{message}</Message>
      <View role="radiogroup" aria-label="How should the code reach you?" style={styles.row}>
        {METHODS.map((each) => (
          <Pressable
            key={each.method}
            role="radio"
            aria-checked={each.method === method}
            onPress={() => setMethod(each.method)}
          >
            <Text>
              {each.method === method ? "●" : "○"} {each.name}
            </Text>
          </Pressable>
        ))}
      </View>
      <TextInput
        aria-label={method === "sms" ? "Phone number" : "Email address"}
        placeholder={method === "sms" ? "Phone number" : "Email address"}
        keyboardType={method === "sms" ? "phone-pad" : "email-address"}
        textContentType={method === "sms" ? "telephoneNumber" : "emailAddress"}
        autoComplete={method === "sms" ? "tel" : "email"}
        autoCapitalize="none"
        autoCorrect={false}
        value={identifier}
        onChangeText={setIdentifier}
        style={styles.input}
      />
      <Button
        title={wait > 0 ? `Send the code in ${wait} s` : "Send the code"}
        disabled={busy || wait > 0 || identifier === ""}
        onPress={send}
      />
    </>
  );
}
