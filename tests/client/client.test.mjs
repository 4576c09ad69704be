// The client module in Node against running servers; test_client.py starts it and them.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { beforeEach, test } from "node:test";

const { OPEN, GUARDED, CLIENT } = process.env;
const { OtpError, configure, initiate, logout, refresh, resend, verify } = await import(CLIENT);

const PHONE = "+46 70 123 45 67";

async function lastCode() {
  return (await fetch(`${OPEN}/last-code`)).text();
}

async function wrongCode() {
  return String((Number(await lastCode()) + 1) % 1000000).padStart(6, "0");
}

async function signIn() {
  const { sessionId } = await initiate(PHONE, "sms");
  return verify(sessionId, await lastCode());
}

async function mayEnter(token) {
  const headers = { Authorization: `Bearer ${token}` };
  return (await fetch(`${OPEN}/me`, { headers })).status === 200;
}

/** Serve one answer from a server that is not ours. */
async function elsewhere(handler, use) {
  const server = createServer(handler).listen(0, "127.0.0.1");
  await new Promise((listens) => server.on("listening", listens));
  configure({ baseUrl: `http://127.0.0.1:${server.address().port}` });
  try {
    await use();
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

beforeEach(() => configure({ baseUrl: `${OPEN}/otp`, timeout: 30000 }));

test("a code is sent and signs in, as it was typed", async () => {
  const started = await initiate(PHONE, "sms", { payload: { lang: "sv" } });
  assert.equal(started.status, "sent");
  assert.match(started.sessionId, /^[0-9a-f]{32}$/);
  assert.ok(started.expiresAt instanceof Date);
  assert.equal(started.ttl, 300);

  const code = await lastCode();
  const outcome = await verify(started.sessionId, `${code.slice(0, 3)} ${code.slice(3)}`);
  assert.equal(outcome.status, "success");
  assert.equal(outcome.user.id, "user of +46701234567");
  assert.ok(await mayEnter(outcome.token));
});

test("wrong codes are outcomes that say what is left, and the last one locks", async () => {
  const { sessionId } = await initiate(PHONE, "sms");
  const wrong = await wrongCode();
  const outcomes = [];
  for (let number = 0; number < 3; number++) {
    outcomes.push(await verify(sessionId, wrong));
  }
  assert.deepEqual(
    outcomes.map(({ status, remainingAttempts }) => [status, remainingAttempts]),
    [["invalid_code", 2], ["invalid_code", 1], ["locked", 0]],
  );
});

test("another code is on its way, or there is none for such a session", async () => {
  const { sessionId } = await initiate(PHONE, "sms");
  const again = await resend(sessionId);
  assert.deepEqual([again.status, again.sessionId], ["sent", sessionId]);
  assert.equal((await resend("0".repeat(32))).status, "not_found");
  await resend(sessionId);
  await assert.rejects(resend(sessionId), { code: "tooManyResends", status: 429 });
});

test("errors carry the code, the wait and the members that did not fit", async () => {
  await assert.rejects(initiate("reader@example", "email"), (error) => {
    assert.ok(error instanceof OtpError);
    assert.equal(error.code, "invalidIdentifier");
    assert.equal(error.message, "Invalid email address format");
    assert.match(error.id, /^[0-9a-f-]{36}$/);
    assert.equal(error.retryAfter, null);
    return true;
  });
  await assert.rejects(initiate(PHONE, "pigeon"), ({ code, fields }) => {
    assert.equal(code, "badRequest");
    assert.deepEqual(fields, { method: ["Must be one of: sms, email."] });
    return true;
  });
  configure({ baseUrl: `${GUARDED}/otp/` });
  await initiate(PHONE, "sms");
  await assert.rejects(initiate(PHONE, "sms"), ({ code, status, retryAfter }) => {
    assert.deepEqual([code, status], ["tooManyRequests", 429]);
    assert.ok(retryAfter > 0 && retryAfter <= 30, String(retryAfter));
    return true;
  });
});

test("a server that is away, too slow or somebody else's is told apart", async () => {
  configure({ baseUrl: "http://127.0.0.1:9" });
  await assert.rejects(initiate(PHONE, "sms"), { code: "offline", status: 0 });

  await elsewhere(() => {}, async () => {
    configure({ timeout: 100 });
    await assert.rejects(initiate(PHONE, "sms"), { code: "offline" });
    configure({ timeout: 30000 });
    const abort = AbortSignal.timeout(50);
    await assert.rejects(initiate(PHONE, "sms", { signal: abort }), { name: "AbortError" });
  });
  const gateway = (_, answer) => answer.writeHead(502, { "Retry-After": "7" }).end("<h1>Bad</h1>");
  await elsewhere(gateway, async () => {
    await assert.rejects(verify("a", "b"), { code: "unexpectedAnswer", status: 502, retryAfter: 7 });
  });
  const others = (_, answer) => answer.writeHead(500).end('{"error": "no"}');
  await elsewhere(others, async () => {
    await assert.rejects(verify("a", "b"), { code: "unexpectedAnswer", status: 500, retryAfter: null });
  });
});

test("headers go along with what sends or checks a code, and cannot change what the body is", async () => {
  const seen = [];
  const server = ({ url, headers }, answer) => {
    seen.push([url, headers["captcha-token"], headers["content-type"]]);
    answer.end('{"data": {}}');
  };
  const options = { headers: { "Captcha-Token": "proof", "Content-Type": "text/plain" } };
  await elsewhere(server, async () => {
    await initiate(PHONE, "sms", options);
    await resend("a", options);
    await verify("a", "123456", options);
  });
  const expected = ["/initiate", "/resend", "/verify"];
  assert.deepEqual(seen, expected.map((url) => [url, "proof", "application/json"]));
});

test("a call that was given up before it began asks nobody", async () => {
  let asked = 0;
  await elsewhere((_, answer) => { asked++; answer.end("{}"); }, async () => {
    const signal = AbortSignal.abort();
    await assert.rejects(initiate(PHONE, "sms", { signal }), { name: "AbortError" });
  });
  assert.equal(asked, 0);
});

test("a code or token is not sent on to where a stranger's server points", async () => {
  const asked = [];
  const away = (request, answer) => {
    asked.push(request.url);
    answer.writeHead(307, { Location: "/elsewhere" }).end();
  };
  await elsewhere(away, async () => {
    await assert.rejects(verify("a", "123456"), { code: "offline" });
  });
  assert.deepEqual(asked, ["/verify"]);
});

test("a refresh that found the server away is made again by the next call", async () => {
  const answers = [[503, { error: { code: "serviceUnavailable", retryAfter: 5 } }], [200, { data: { token: "new" } }]];
  const server = (_, answer) => {
    const [status, body] = answers.shift();
    answer.writeHead(status).end(JSON.stringify(body));
  };
  await elsewhere(server, async () => {
    const failed = { code: "serviceUnavailable", retryAfter: 5 };
    await assert.rejects(refresh({ refreshToken: "kept" }), failed);
    assert.equal((await refresh({ refreshToken: "kept" })).token, "new");
  });
});

test("calls with one refresh token at once get the same new tokens and end no login", async () => {
  const { refreshToken } = await signIn();
  const [one, two] = await Promise.all([refresh({ refreshToken }), refresh({ refreshToken })]);
  const late = await refresh({ refreshToken });
  assert.deepEqual(one, two);
  assert.deepEqual(one, late);
  assert.ok(await mayEnter(one.token));
  const next = await refresh({ refreshToken: one.refreshToken });
  assert.ok(await mayEnter(next.token));
});

test("a token whose successor has been used is refused, and may be tried again", async () => {
  const { refreshToken } = await signIn();
  for (let number = 0, token = refreshToken; number < 2; number++) {
    const headers = { Authorization: `Bearer ${token}` };
    const answer = await fetch(`${OPEN}/otp/refresh`, { method: "POST", headers });
    token = (await answer.json()).data.refreshToken;
  }
  for (let number = 0; number < 2; number++) {
    await assert.rejects(refresh({ refreshToken }), { code: "invalidRefreshToken", status: 401 });
  }
});

test("logout ends the login of a token", async () => {
  const { token, refreshToken } = await signIn();
  assert.equal(await logout({ token }), undefined);
  assert.equal(await mayEnter(token), false);
  await assert.rejects(refresh({ refreshToken }), { code: "invalidRefreshToken" });
});
