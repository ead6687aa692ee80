// An identity provider that speaks OpenID Connect, for the scenes in which people sign in with one: oidc-provider, which is
// certified, with its own pages to sign in at. It prints its issuer and is told the rest at /control, which is no part
// of a provider: what it may not do is done to what it says, so that the signatures are its own.
"use strict";

const http = require("node:http");
const path = require("node:path");
const { createRequire } = require("node:module");

const packages = createRequire(path.join(process.env.DSYNC_TEST_NODE, "package.json"));

const now = Date.now.bind(Date);
let clockSkewMs = 0;
Date.now = () => now() + clockSkewMs;

// {redirect_uri, secret, only_userinfo} of the last control, and what becomes of the next ID tokens.
let handle = null;
let swap = null;
let forge = false;
let isDown = false;

// Whoever signs in is who they say. Addresses are made from names.
function account(name) {
  return {
    accountId: name,
    claims: () => ({
      sub: name,
      email: `${name}@example.com`,
      email_verified: !name.startsWith("unverified"),
      groups: name === "grace" ? ["everybody", "platform"] : ["everybody"],
    }),
  };
}

function forged(token) {
  const [header, payload, signature] = token.split(".");
  const claims = JSON.parse(Buffer.from(payload, "base64url"));
  claims.email = "ada@example.com";
  return [header, Buffer.from(JSON.stringify(claims)).toString("base64url"), signature].join(".");
}

async function begin(issuer, { redirect_uri, secret, only_userinfo }) {
  const { Provider } = await import(packages.resolve("oidc-provider"));
  const client = (client_id) => ({ client_id, client_secret: secret, redirect_uris: [redirect_uri] });
  const provider = new Provider(issuer, {
    clients: [client("dsync"), client("other")],
    claims: { openid: ["sub"], email: ["email", "email_verified"], groups: ["groups"] },
    // Codes outlive clocks that are put forward.
    ttl: { AuthorizationCode: 24 * 3600 },
    conformIdTokenClaims: only_userinfo,
    pkce: { required: () => false },
    findAccount: (_, name) => account(name),
    cookies: { keys: ["of a test"] },
  });
  provider.use(async (ctx, next) => {
    await next();
    if (ctx.path !== "/token" || !ctx.body?.id_token) return;
    if (swap) ctx.body.id_token = swap;
    if (forge) ctx.body.id_token = forged(ctx.body.id_token);
  });
  return provider.callback();
}

async function control(issuer, request, response) {
  let body = "";
  for await (const more of request) body += more;
  const wanted = JSON.parse(body);
  clockSkewMs = wanted.clock_skew_ms ?? 0;
  swap = wanted.swap ?? null;
  forge = wanted.forge ?? false;
  isDown = wanted.down ?? false;
  if (wanted.redirect_uri) handle = await begin(issuer, wanted);
  response.end("{}");
}

const server = http.createServer((request, response) => {
  if (request.url === "/control") return control(server.issuer, request, response);
  if (isDown || !handle) return response.writeHead(500).end("{}");
  return handle(request, response);
});
server.listen(0, "127.0.0.1", () => {
  server.issuer = `http://127.0.0.1:${server.address().port}`;
  console.log(server.issuer);
});
