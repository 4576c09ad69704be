// better-auth with email-otp on MongoDB: BENCH_PROCS processes behind one port.
import cluster from "node:cluster";
import { createServer } from "node:http";
import { betterAuth } from "better-auth";
import { mongodbAdapter } from "better-auth/adapters/mongodb";
import { toNodeHandler } from "better-auth/node";
import { emailOTP } from "better-auth/plugins";
import { MongoClient } from "mongodb";

const port = Number(process.env.BENCH_PORT);
const procs = Number(process.env.BENCH_PROCS || "1");

function start() {
  const client = new MongoClient(process.env.BENCH_MONGO_URI);
  const auth = betterAuth({
    baseURL: `http://127.0.0.1:${port}`,
    secret: "a secret of the benchmark, 32 bytes or more",
    // A single mongod has no transactions.
    database: mongodbAdapter(client.db(), { client, transaction: false }),
    rateLimit: { enabled: false },
    telemetry: { enabled: false },
    logger: { level: "error" },
    plugins: [
      emailOTP({
        otpLength: 6,
        expiresIn: 300,
        allowedAttempts: 3,
        disableSignUp: true,
        storeOTP: "hashed",
        sendVerificationOTP: async ({ otp }, context) => {
          context.setHeader("X-Bench-Code", otp);
        },
      }),
    ],
  });
  createServer(toNodeHandler(auth)).listen(port, "127.0.0.1");
}

if (procs > 1 && cluster.isPrimary) {
  for (let i = 0; i < procs; i += 1) cluster.fork();
} else {
  start();
}
