// Reads requests as Node does and says what it read: the other side of tests/it/differential.rs. Takes and gives the
// same lines as read.py, but that a number is the shortest text of the double that JavaScript makes of it.
import { createInterface } from "node:readline";

const names = process.argv[2].split(",");

// A value with its kind.
function told(value) {
  if (value === null || typeof value === "boolean") return [String(value)];
  if (typeof value === "number") return ["number", String(value)];
  if (typeof value === "string") return ["text", value];
  if (Array.isArray(value)) return ["array", value.map(told)];
  return ["object", Object.entries(value).map(([name, item]) => [name, told(item)])];
}

// The members that matter of each object that could be an order.
function orders(body) {
  const objects = (Array.isArray(body) ? body : [body]).filter(
    (item) => typeof item === "object" && item !== null && !Array.isArray(item),
  );
  return objects.map((item) => names.map((name) => (Object.hasOwn(item, name) ? told(item[name]) : null)));
}

function read(request) {
  const url = new URL("https://exchange.example" + request.target);
  const answer = { path: url.pathname, query: [...url.searchParams], body: null, orders: [] };
  if (request.body !== null) {
    const body = JSON.parse(request.body);
    answer.body = told(body);
    answer.orders = orders(body);
  }
  return answer;
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  let answer;
  try {
    answer = read(JSON.parse(line));
  } catch (error) {
    answer = { refused: error.message };
  }
  console.log(JSON.stringify(answer));
}
