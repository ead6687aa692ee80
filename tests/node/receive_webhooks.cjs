// Receives webhooks as an app in Node would, with the libraries that such apps use.
//
// Says on which port it listens, reads {"secret"} from the first line of its input, and then writes one line for each
// webhook: {"id", "verified": [library…], "refused": {library: why}}. A library counts only if it refuses the same webhook
// with another body or another secret.
//
// The libraries are not beside this file: DSYNC_TEST_NODE names the folder that ./test installed them in.

'use strict';

const http = require('node:http');
const path = require('node:path');
const readline = require('node:readline');
const { createRequire } = require('node:module');

const installed = createRequire(path.join(process.env.DSYNC_TEST_NODE, 'package.json'));
const svix = installed('svix');
const standardwebhooks = installed('standardwebhooks');
const { WorkOS } = installed('@workos-inc/node');

const OTHER_SECRET = 'whsec_' + Buffer.alloc(32, 1).toString('base64');
const workos = new WorkOS('sk_not_used');

const libraries = {
  svix: async (body, headers, secret) => new svix.Webhook(secret).verify(body, headers),
  standardwebhooks: async (body, headers, secret) =>
    new standardwebhooks.Webhook(secret).verify(body, headers),
  // The SDK takes the parsed body, and writes it anew to check the signature.
  workos: async (body, headers, secret) =>
    workos.webhooks.constructEvent({
      payload: JSON.parse(body),
      sigHeader: headers['workos-signature'],
      secret,
    }),
};

async function refuses(verify, ...webhook) {
  try {
    await verify(...webhook);
    return false;
  } catch {
    return true;
  }
}

async function judge(verify, body, headers, secret) {
  await verify(body, headers, secret);
  const other = JSON.stringify({ ...JSON.parse(body), id: 'event_of_somebody_else' });
  if (!(await refuses(verify, other, headers, secret))) throw new Error('takes another body');
  if (!(await refuses(verify, body, headers, OTHER_SECRET))) throw new Error('takes another secret');
}

async function receive(body, headers, secret) {
  const verdict = { id: headers['webhook-id'], verified: [], refused: {} };
  for (const [name, verify] of Object.entries(libraries)) {
    try {
      await judge(verify, body, headers, secret);
      verdict.verified.push(name);
    } catch (error) {
      verdict.refused[name] = String(error);
    }
  }
  return verdict;
}

function say(line) {
  process.stdout.write(JSON.stringify(line) + '\n');
}

async function main() {
  const input = readline.createInterface({ input: process.stdin });
  const config = new Promise((resolve) => input.once('line', (line) => resolve(JSON.parse(line))));
  input.once('close', () => process.exit(0));
  const server = http.createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', async () => {
      const { secret } = await config;
      const body = Buffer.concat(chunks).toString('utf8');
      const verdict = await receive(body, request.headers, secret);
      say(verdict);
      response.writeHead(Object.keys(verdict.refused).length === 0 ? 204 : 400).end();
    });
  });
  server.listen(0, '127.0.0.1', () => say({ port: server.address().port }));
}

main();
