// What a bot in Node waits for a signature, by the client that it asks with; every connection is kept.
// Arguments: fetch, agent-tcp or agent-unix, the daemon's port, its socket, the file with the token, seconds. The ask comes in by
// standard input.
import { readFileSync } from "node:fs";
import http from "node:http";

const [client, port, socketPath, tokenFile, seconds] = process.argv.slice(2);
const text = JSON.parse(readFileSync(0, "utf8"));
const headers = { Authorization: `Bearer ${readFileSync(tokenFile, "utf8").trim()}`, "Content-Type": "application/json" };
let number = BigInt(Date.now()) * 1_000_000n;

function ask() {
  number += 1n;
  return JSON.stringify({ ...text, body: text.body.replace("0123456789abcdef", number.toString(16).padStart(16, "0")) });
}

function checked(answer) {
  if (!answer.headers?.["OK-ACCESS-SIGN"]) throw new Error(JSON.stringify(answer));
}

async function viaFetch() {
  const answer = await fetch(`http://127.0.0.1:${port}/v1/sign`, { method: "POST", headers, body: ask() });
  checked(await answer.json());
}

const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const where = client === "agent-unix" ? { socketPath, host: "localhost" } : { host: "127.0.0.1", port };
function viaAgent() {
  return new Promise((resolve, reject) => {
    const body = ask();
    const options = { ...where, agent, path: "/v1/sign", method: "POST", headers: { ...headers, "Content-Length": Buffer.byteLength(body) } };
    const request = http.request(options, (answer) => {
      const pieces = [];
      answer.on("data", (piece) => pieces.push(piece));
      answer.on("end", () => resolve(checked(JSON.parse(Buffer.concat(pieces).toString()))));
    });
    request.on("error", reject);
    request.end(body);
  });
}

const call = client === "fetch" ? viaFetch : viaAgent;
const time = () => Number(process.hrtime.bigint());
for (const until = time() + seconds * 2e8; time() < until;) await call();
const times = [];
for (const until = time() + seconds * 1e9; time() < until;) {
  const begun = time();
  await call();
  times.push(time() - begun);
}
times.sort((one, other) => one - other);
const at = (quantile) => times[Math.min(Math.floor(times.length * quantile), times.length - 1)] / 1000;
console.log(JSON.stringify({ p50_us: at(0.5), p99_us: at(0.99), p999_us: at(0.999), max_us: at(1), per_second: times.length / seconds, answers: times.length }));
process.exit(0);
