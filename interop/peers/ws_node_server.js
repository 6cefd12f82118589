#!/usr/bin/env node
// An echo server on npm's `ws` that says what it saw: the same options and lines as ws_python_server.py.
"use strict";

const { WebSocket, version, say, describe, textOf, parse, closeArgument, send } = require("./peer_common.js");

const options = parse(process.argv.slice(2), {
  "--listen": [true, "ADDRESS:PORT; port 0: the kernel chooses"],
  "--deflate": [false, "agree to permessage-deflate"],
  "--subprotocol": [true, "one that may be chosen; repeatable"],
  "--fragment": [true, "echo in fragments of this many bytes"],
  "--push": [true, "send a text of this many bytes right after the 101"],
  "--close-after": [true, "close after that many messages …"],
  "--close": [true, "… with CODE[:REASON]"],
  "--max-message": [true, "bytes"],
  "--refuse": [true, "answer every handshake with this status instead"],
}, "usage: ws_node_server.js [options]");

const [host, port] = options.one("--listen", "127.0.0.1:0").split(/:(?=\d+$)/);
const fragment = options.number("--fragment", 0);
const closeAfter = options.number("--close-after", 0);
const closing = closeArgument(options.one("--close", "1000"));
const subprotocols = options.all("--subprotocol");
const refusal = options.number("--refuse", 0);

const server = new WebSocket.Server({
  host,
  port: Number(port),
  perMessageDeflate: options.one("--deflate", false) ? { threshold: 0 } : false,
  maxPayload: options.number("--max-message", 64 << 20),
  handleProtocols: (offered) => subprotocols.find((name) => offered.has(name)) ?? false,
  verifyClient: refusal ? (info, answer) => answer(false, refusal, "refused here\n") : undefined,
});

function fieldsOf(request) {
  const fields = [];
  for (let i = 0; i < request.rawHeaders.length; i += 2) fields.push(request.rawHeaders.slice(i, i + 2));
  return fields;
}

server.on("connection", (ws, request) => {
  let count = 0;
  say("open", {
    path: request.url, subprotocol: ws.protocol || null,
    extensions: ws.extensions ? ws.extensions.split(/[;,]/, 1) : [], fields: fieldsOf(request),
  });
  const push = options.number("--push", 0);
  if (push) ws.send(textOf(push), { binary: false });
  ws.on("message", (data, isBinary) => {
    say("message", describe(data, isBinary));
    send(ws, data, isBinary, fragment);
    if (++count === closeAfter) ws.close(...closing);
  });
  ws.on("error", (error) => say("error", { why: error.message }));
  // ws reports the code that was received, 1005 for an empty Close and 1006 for none
  ws.on("close", (code, reason) => say("closed", { code, reason: reason.toString(), wasClean: code !== 1006 }));
});
server.on("listening", () => say("ready", { address: `${host}:${server.address().port}`, version }));

for (const name of ["SIGTERM", "SIGINT"]) {
  process.on(name, () => {
    for (const ws of server.clients) ws.close(1001, "the server ends");
    server.close(() => process.exit(0));
    setTimeout(() => process.exit(0), 5000).unref();
  });
}
