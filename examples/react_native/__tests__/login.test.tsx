/** The app as a person sees it, against the API of EXPO_PUBLIC_API_URL, which fixes one code. */
import { act, configure, render, screen, userEvent } from "@testing-library/react-native";
import * as SecureStore from "expo-secure-store";
import { App } from "../src/App";
import { signOut } from "../src/session";

// The one thing that does not exist outside a phone.
jest.mock("expo-secure-store", () => {
  const kept = new Map<string, string>();
  return {
    WHEN_UNLOCKED_THIS_DEVICE_ONLY: 6,
    getItemAsync: jest.fn(async (key: string) => kept.get(key) ?? null),
    setItemAsync: jest.fn(async (key: string, value: string) => void kept.set(key, value)),
    deleteItemAsync: jest.fn(async (key: string) => void kept.delete(key)),
  };
});

const { EXPO_PUBLIC_API_URL: API, OTP_IDENTIFIER = "", OTP_CODE = "" } = process.env;
const EXPIRED = process.env.OTP_EXPIRED_TOKEN;
const TOKENS = "otp.tokens";
const WRONG_CODE = OTP_CODE === "000000" ? "000001" : "000000";
const person = userEvent.setup();

jest.setTimeout(30_000);
configure({ asyncUtilTimeout: 10_000 });

function post(path: string, body: object | undefined, token?: string) {
  return fetch(`${API}/otp/${path}`, {
    method: "POST",
    headers: body
      ? { "Content-Type": "application/json" }
      : { Authorization: `Bearer ${token}` },
    body: body && JSON.stringify(body),
  });
}

/** Sign in beside the app, as if it had done so before the access token expired. */
async function signedInBefore(): Promise<string> {
  const started = await post("initiate", { identifier: OTP_IDENTIFIER, method: "email" });
  const { sessionId } = (await started.json()).data;
  const answer = await post("verify", { sessionId, code: OTP_CODE });
  const { refreshToken } = (await answer.json()).data;
  await SecureStore.setItemAsync(TOKENS, JSON.stringify({ token: EXPIRED, refreshToken }));
  return refreshToken;
}

async function refreshToken(): Promise<string | null> {
  return JSON.parse((await SecureStore.getItemAsync(TOKENS)) ?? "{}").refreshToken ?? null;
}

async function askForCode(identifier: string) {
  await person.press(await screen.findByRole("radio", { name: /Email/ }));
  const field = screen.getByLabelText("Email address");
  await person.clear(field);
  await person.type(field, identifier);
  await person.press(screen.getByRole("button", { name: "Send the code" }));
}

async function enter(code: string) {
  await person.type(await screen.findByLabelText("Code"), code);
  await person.press(screen.getByRole("button", { name: "Sign in" }));
}

afterEach(async () => {
  await act(signOut);
  jest.clearAllMocks();
});

test("a person signs in with a code, after a wrong one, and out again", async () => {
  render(<App />);
  await askForCode(OTP_IDENTIFIER);
  await enter(WRONG_CODE);
  expect(await screen.findByText("That code is wrong. You have 2 tries left.")).toBeOnTheScreen();
  await enter(OTP_CODE);

  expect(await screen.findByText(`Signed in as ${OTP_IDENTIFIER}`)).toBeOnTheScreen();
  const token = await refreshToken();
  for (const name of [TOKENS, "otp.deviceToken"]) {
    expect(SecureStore.setItemAsync).toHaveBeenCalledWith(name, expect.any(String), {
      keychainAccessible: SecureStore.WHEN_UNLOCKED_THIS_DEVICE_ONLY,
    });
  }

  await person.press(screen.getByRole("button", { name: "Sign out" }));
  expect(await screen.findByText("Sign in")).toBeOnTheScreen();
  expect(await refreshToken()).toBeNull();
  expect((await post("refresh", undefined, token!)).status).toBe(401);
});

test("a login that has begun is still there after the app was killed", async () => {
  const { unmount } = render(<App />);
  await askForCode(OTP_IDENTIFIER);
  await screen.findByLabelText("Code");
  unmount();
  render(<App />);
  await enter(OTP_CODE);

  expect(await screen.findByText(`Signed in as ${OTP_IDENTIFIER}`)).toBeOnTheScreen();
});

test("a phone offers the code of the message to the field for it", async () => {
  render(<App />);
  await askForCode(OTP_IDENTIFIER);

  const field = await screen.findByLabelText("Code");
  expect(field.props).toMatchObject({ textContentType: "oneTimeCode", autoComplete: "sms-otp" });
});

test("a person who was signed in still is after a restart, with new tokens", async () => {
  const before = await signedInBefore();
  render(<App />);

  expect(await screen.findByText(`Signed in as ${OTP_IDENTIFIER}`)).toBeOnTheScreen();
  expect([before, null]).not.toContain(await refreshToken());
});

test("a person whose login was used by somebody else has to sign in again", async () => {
  const stolen = await signedInBefore();
  const { data } = await (await post("refresh", undefined, stolen)).json();
  expect((await post("refresh", undefined, data.refreshToken)).status).toBe(200);
  render(<App />);

  const text = "Your login has ended. Please sign in again.";
  expect(await screen.findByText(text)).toBeOnTheScreen();
  expect(await refreshToken()).toBeNull();
});

test("a person who asks for codes too quickly sees how long to wait", async () => {
  render(<App />);
  await askForCode("impatient@example.com");
  await person.press(await screen.findByRole("button", { name: "Start again" }));
  await askForCode("impatient@example.com");

  const button = await screen.findByRole("button", { name: /^Send the code in \d+ s$/ });
  expect(button).toBeDisabled();
});
