// A signing service as one would write it with fastify: the token, the signature, the answer. No policy and no ledger.
// Arguments: the token. Writes its address as a line.
const { createHash, createHmac } = require("node:crypto");
const fastify = require("fastify");

const sha256 = (text) => createHash("sha256").update(text).digest("hex");
const tokens = new Map([[sha256(process.argv[2]), "bob"]]);
const secrets = new Map([["main", { key: "5a95c46d-821d-4641-acce-5250b0ce64bc", secret: "557FBBAFC3FC3D265C5D066FE442DFA0", passphrase: "Correct-Horse-1" }]]);

const text = { type: "string" };
const schema = {
  body: { type: "object", required: ["credential", "method", "path"], properties: { credential: text, method: text, path: text, body: text } },
  response: { 200: { type: "object", properties: { url: text, method: text, headers: { type: "object", additionalProperties: text }, body: text, audit_seq: { type: "integer" }, expires_at: text } } },
};

const server = fastify({ logger: false });
let sequence = 0;
server.post("/v1/sign", { schema }, (request, reply) => {
  const bot = tokens.get(sha256((request.headers.authorization ?? "").slice("Bearer ".length)));
  if (!bot) return reply.code(401).send({ code: "auth.failed" });
  const { credential, method, path, body = "" } = request.body;
  const { key, secret, passphrase } = secrets.get(credential);
  const now = new Date();
  const time = now.toISOString();
  const signature = createHmac("sha256", secret).update(time + method + path + body).digest("base64");
  sequence += 1;
  return reply.send({
    url: "https://www.okx.com" + path,
    method,
    headers: { "OK-ACCESS-KEY": key, "OK-ACCESS-SIGN": signature, "OK-ACCESS-TIMESTAMP": time, "OK-ACCESS-PASSPHRASE": passphrase, "Content-Type": "application/json" },
    body,
    audit_seq: sequence,
    expires_at: new Date(now.getTime() + 30_000).toISOString(),
  });
});
server.listen({ host: "127.0.0.1", port: 0 }).then(() => {
  const { address, port } = server.server.address();
  console.log(`${address}:${port}`);
});
