#!/usr/bin/env node
// A client on npm's `ws` that sends what it is told to an echo server and checks what comes back: the same options and
// lines as ws_python_client.py. Exit 0 when everything came back byte for byte and the connection ended as asked.
"use strict";

const crypto = require("crypto");
const { WebSocket, say, fail, describe, textOf, parse, closeArgument, send } = require("./peer_common.js");

const options = parse(process.argv.slice(2), {
  "--text": [true, "bytes of a text message; repeatable, in order with --binary"],
  "--binary": [true, "bytes of a binary message"],
  "--repeat": [true, "send the whole list N times"],
  "--together": [false, "send everything before waiting for the echoes"],
  "--fragment": [true, "send in fragments of this many bytes"],
  "--ping": [false, "ping before closing, and wait for the pong"],
  "--deflate": [false, "offer permessage-deflate, and require it"],
  "--subprotocol": [true, "offer; repeatable"],
  "--expect-subprotocol": [true, "require that this one was chosen"],
  "--expect-push": [true, "require a text of so many bytes first, as --push sends it"],
  "--origin": [true, "the Origin field"],
  "--close": [true, "CODE[:REASON]"],
  "--wait-close": [false, "do not close: wait until the other side does"],
  "--expect-close": [true, "require this code in the Close received"],
  "--timeout": [true, "seconds, for everything together"],
}, "usage: ws_node_client.js URL [options]");

if (options.rest.length !== 1) { process.stderr.write("usage: ws_node_client.js URL [options]\n"); process.exit(2); }

const fragment = options.number("--fragment", 0);
const deflate = options.one("--deflate", false);
const list = options.list
  .filter(([name]) => name === "--text" || name === "--binary")
  .map(([name, size]) => (name === "--text"
    ? { binary: false, data: textOf(Number(size)) }
    : { binary: true, data: crypto.randomBytes(Number(size)) }));
const messages = Array.from({ length: options.number("--repeat", 1) }, () => list).flat();

let failed = false;
function stop(why) {
  if (failed) return;
  failed = true;
  fail(why);
}

const ws = new WebSocket(options.rest[0], options.all("--subprotocol"), {
  perMessageDeflate: deflate ? { threshold: 0 } : false,
  maxPayload: 64 << 20,
  origin: options.one("--origin", undefined),
});
const timer = setTimeout(() => stop("timeout"), options.number("--timeout", 60) * 1000);

let pushed = options.number("--expect-push", 0);
let sent = 0;
let received = 0;
let at = 0;

function sendNext() {
  at = performance.now();
  send(ws, messages[sent].data, messages[sent].binary, fragment);
  sent++;
}

function afterMessages() {
  if (!options.one("--ping", false)) { end(); return; }
  at = performance.now();
  ws.once("pong", (data) => {
    say("pong", { ms: performance.now() - at });
    if (data.toString() !== "peer") stop("the pong's payload differs");
    end();
  });
  ws.ping("peer");
}

function end() {
  if (!options.one("--wait-close", false)) ws.close(...closeArgument(options.one("--close", "1000")));
}

function goOn() {
  if (received === messages.length) afterMessages();
  else if (options.one("--together", false)) { while (sent < messages.length) sendNext(); }
  else sendNext();
}

ws.on("open", () => {
  const agreed = ws.extensions ? ws.extensions.split(/[;,]/, 1) : [];
  say("open", { subprotocol: ws.protocol || null, extensions: agreed });
  if (deflate && !agreed.includes("permessage-deflate")) return stop("permessage-deflate was not agreed on");
  const wanted = options.one("--expect-subprotocol", null);
  if (wanted && ws.protocol !== wanted) return stop(`the subprotocol is ${ws.protocol}`);
  if (!pushed) goOn();
});

ws.on("message", (data, isBinary) => {
  say("message", { ...describe(data, isBinary), ms: performance.now() - at });
  if (pushed) {
    if (isBinary || !data.equals(textOf(pushed))) return stop("the pushed message differs");
    pushed = 0;
    return goOn();
  }
  const expected = messages[received];
  if (!expected || expected.binary !== isBinary || !expected.data.equals(data)) return stop("the echo differs");
  received++;
  if (received === sent) goOn();
});

ws.on("unexpected-response", (request, response) => {
  say("refused", { status: response.statusCode, why: response.statusMessage });
  stop("the handshake was refused");
});
ws.on("error", (error) => stop(error.message));
ws.on("close", (code, reason) => {
  const closing = { code, reason: reason.toString(), wasClean: code !== 1006 };
  clearTimeout(timer);
  if (failed) return;                    // the result stands already, and is the last line
  say("closed", closing);
  const wanted = options.number("--expect-close", 0);
  if (received < messages.length) return stop("the connection ended too early");
  if (wanted && code !== wanted) return stop(`the close code is ${code}`);
  if (code === 1006) return stop("the connection did not end with Close frames both ways");
  say("result", { ok: true, messages: received, ...closing });
});
