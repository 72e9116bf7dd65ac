// Runs every audit of GraphQL over HTTP against a server: node audit.mjs URL
import { auditServer } from "graphql-http";

const results = await auditServer({ url: process.argv[2] });
const bad = results.filter((r) => r.status !== "ok");
for (const r of bad) console.log(`${r.status} ${r.id} ${r.name}: ${r.reason}`);
console.log(`${results.length - bad.length} of ${results.length} audits pass`);
process.exit(bad.length === 0 && results.length >= 61 ? 0 : 1);
