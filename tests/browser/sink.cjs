// A customer's app: takes webhooks over real HTTP, answers as told, and checks signatures with code of its own.
"use strict";

const crypto = require("node:crypto");
const http = require("node:http");

class Sink {
  static async start() {
    const sink = new Sink();
    sink.arrived = [];
    sink.status = 200;
    sink.answer = "<script>alert('answer')</script>";
    // How many it answers yet; who comes after that waits.
    sink.patience = Infinity;
    sink.waiting = [];
    sink.server = http.createServer((request, answer) => {
      const parts = [];
      request.on("data", (part) => parts.push(part));
      request.on("end", () => {
        const body = Buffer.concat(parts).toString();
        sink.arrived.push({ headers: request.headers, body, event: JSON.parse(body), status: sink.status });
        sink.patience -= 1;
        if (sink.patience < 0) return sink.waiting.push(answer);
        answer.writeHead(sink.status, { "content-type": "text/html" });
        answer.end(sink.answer);
      });
    });
    await new Promise((listening) => sink.server.listen(0, "127.0.0.1", listening));
    sink.url = `http://127.0.0.1:${sink.server.address().port}/webhooks`;
    return sink;
  }

  // What was taken.
  taken() {
    return this.arrived.filter((one) => one.status < 300);
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

// Whether one of the signatures of a webhook is by this secret (Standard Webhooks).
function isSignedBy({ headers, body }, secret) {
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
  const expected = `v1,${crypto.createHmac("sha256", key).update(signed).digest("base64")}`;
  return headers["webhook-signature"].split(" ").includes(expected);
}

module.exports = { Sink, isSignedBy };
