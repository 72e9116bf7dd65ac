// Subscribes with the reference clients of both protocols: node subscribe.mjs URL
// Each has to get three versions of the fleet, each newer than the one before, and then leaves; and
// each has to be told in words of a document that is wrong.
import { createClient as overWebSocket } from "graphql-ws";
import { createClient as overEvents } from "graphql-sse";
import WebSocket from "ws";

const url = process.argv[2];
const clients = {
  "graphql-ws": overWebSocket({ url: url.replace(/^http/, "ws"), webSocketImpl: WebSocket, retryAttempts: 0 }),
  "graphql-sse": overEvents({ url, retryAttempts: 0 }),
};

for (const [name, client] of Object.entries(clients)) {
  const seen = [];
  for await (const { data, errors } of client.iterate({ query: 'subscription { fleetChanged(every: "PT0.2S") { version } }' })) {
    if (errors) throw new Error(`${name}: ${JSON.stringify(errors)}`);
    seen.push(data.fleetChanged.version);
    if (seen.length === 3) break;
  }
  if (!(seen[0] < seen[1] && seen[1] < seen[2])) throw new Error(`${name}: versions ${seen}`);

  let told;
  try {
    for await (const { errors } of client.iterate({ query: "subscription { nothing }" })) told ??= errors;
  } catch (errors) {
    told = errors;
  }
  if (!/nothing/.test(JSON.stringify(told))) throw new Error(`${name}: a wrong document was answered with ${JSON.stringify(told)}`);
  await client.dispose();
  console.log(`${name}: versions ${seen.join(", ")}`);
}
process.exit(0);
