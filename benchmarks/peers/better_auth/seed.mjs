// Makes as many users as the argument says, as better-auth would store them.
import { MongoClient } from "mongodb";

const client = new MongoClient(process.env.BENCH_MONGO_URI);
const now = new Date();
const users = Array.from({ length: Number(process.argv[2]) }, (_, n) => ({
  name: "",
  email: `user${n}@example.com`,
  emailVerified: true,
  createdAt: now,
  updatedAt: now,
}));
await client.db().collection("user").insertMany(users);
await client.close();
