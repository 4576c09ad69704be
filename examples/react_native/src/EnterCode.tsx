import { resend } from "flask-otp-auth/client";
import { useState } from "react";
import { Text, TextInput } from "react-native";
import { signIn } from "./session";
import { Button, Heading, Message, styles } from "./ui";
import { useTask } from "./useTask";

const OVER = "This code does not work any more. Ask for a new one.";

interface Props {
  sessionId: string;
  identifier: string;
  startAgain: (reason?: string) => void;
}

export function EnterCode({ sessionId, identifier, startAgain }: Props) {
  const [code, setCode] = useState("");
  const { busy, message, wait, run } = useTask();

  async function enter(): Promise<string | void> {
    const outcome = await signIn(sessionId, code);
    switch (outcome.status) {
      case "success":
        return; // the screen of the person takes over
      case "invalid_code": {
        const left = outcome.remainingAttempts;
        setCode("");
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

  return (
    <>
      <Heading>Enter your code</Heading>
      <Text>We have sent it to {identifier}.</Text>
      <Message>{message}</Message>
      <TextInput
        aria-label="Code"
        keyboardType="number-pad"
        textContentType="oneTimeCode"
        autoComplete="sms-otp"
        maxLength={64}
        autoFocus
        value={code}
        onChangeText={setCode}
        style={styles.input}
      />
      <Button title="Sign in" disabled={busy || code === ""} onPress={() => run(enter)} />
      <Button
        plain
        title={wait > 0 ? `Another code in ${wait} s` : "Send another code"}
        disabled={busy || wait > 0}
        onPress={() => run(sendAgain)}
      />
      <Button plain title="Start again" onPress={() => startAgain()} />
    </>
  );
}
