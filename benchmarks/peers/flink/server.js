// The Node plugin as its README sets it up: BENCH_PROCS processes behind one port.
"use strict";

const cluster = require("node:cluster");
const { randomUUID } = require("node:crypto");
const { FlinkApp, log } = require("@flink-app/flink");
const { otpAuthPlugin } = require("@flink-app/otp-auth-plugin");
const jwt = require("jwt-simple");

const SECRET = "a secret of the benchmark, 32 bytes or more";
const TOKEN_TTL = 900;
const procs = Number(process.env.BENCH_PROCS || "1");

// The code goes back to the load client in a header, by way of this map: cheaper than async hooks.
const codes = new Map();

const handOver = {
  id: "benchmark",
  ctx: {},
  async init(app) {
    const listen = app.expressApp.listen;
    app.expressApp.listen = (port, done) => listen.call(app.expressApp, port, "127.0.0.1", done);
    app.expressApp.use((req, res, next) => {
      if (req.path === "/otp/initiate") {
        const json = res.json;
        res.json = function (body) {
          const code = codes.get(req.body.identifier);
          if (code !== undefined) {
            codes.delete(req.body.identifier);
            res.setHeader("X-Bench-Code", code);
          }
          return json.call(res, body);
        };
      }
      next();
    });
  },
};

// What @flink-app/jwt-auth-plugin's createToken does, with the claims of the other apps here.
// (That plugin needs a native module, bcrypt, which its token does not use.)
function createToken(user, method) {
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    exp: now + TOKEN_TTL,
    fresh: true,
    iat: now,
    nbf: now,
    jti: randomUUID(),
    type: "access",
    sub: user.id,
    amr: method === "sms" ? ["otp", "sms"] : ["otp"],
    auth_time: now,
  };
  return jwt.encode(claims, SECRET, "HS256");
}

async function start() {
  log.setLevel("warn");
  const app = new FlinkApp({
    name: "benchmark",
    port: Number(process.env.BENCH_PORT),
    db: { uri: process.env.BENCH_MONGO_URI },
    accessLog: { enabled: false },
    scheduling: { enabled: false },
    plugins: [
      handOver,
      otpAuthPlugin({
        onSendCode: async (code, identifier) => {
          codes.set(identifier, code);
          return true;
        },
        onGetUser: async (identifier) => ({ id: identifier }),
        onVerifySuccess: async (user, identifier, method) => ({
          user: { id: user.id },
          token: createToken(user, method),
        }),
      }),
    ],
  });
  await app.start();
}

if (procs > 1 && cluster.isPrimary) {
  for (let i = 0; i < procs; i += 1) cluster.fork();
} else {
  start().catch((error) => {
    console.error(error);
    process.exit(1);
  });
}
