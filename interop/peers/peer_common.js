// What the `ws` client and server share: the package, options, payloads, JSON lines.
"use strict";

const crypto = require("crypto");
const path = require("path");

// The package lies under build/peers (see packages.sh), or where UPGATE_NODE_PEERS says.
const place = process.env.UPGATE_NODE_PEERS || path.join(__dirname, "..", "..", "build", "peers");
const WebSocket = require(require.resolve("ws", { paths: [place] }));
const version = require(require.resolve("ws/package.json", { paths: [place] })).version;

function say(event, facts) {
  process.stdout.write(JSON.stringify({ event, ...facts }) + "\n");
}

// Says why and ends with 1; the line is out before the process is.
function fail(why) {
  process.exitCode = 1;
  process.stdout.write(JSON.stringify({ event: "result", ok: false, why }) + "\n", () => process.exit(1));
}

function describe(data, isBinary) {
  return {
    type: isBinary ? "binary" : "text",
    bytes: data.length,
    sha256: crypto.createHash("sha256").update(data).digest("hex"),
  };
}

const PATTERN = Buffer.from("Upgate carries text: äöü, żółć, 漢字, 🚪 – 0123456789. ");

// Exactly `size` bytes of UTF-8 with characters of one to four bytes; a character that was cut becomes letters.
function textOf(size) {
  const text = Buffer.alloc(size, PATTERN).toString().replace(/\uFFFD+$/, "");
  return Buffer.from(text + "x".repeat(size - Buffer.byteLength(text)));
}

// Options as { "--name": [takesValue, help] }; what comes back keeps their order in `list`.
function parse(argv, known, usage) {
  const list = [];
  const rest = [];
  for (let i = 0; i < argv.length; i++) {
    if (!argv[i].startsWith("--")) { rest.push(argv[i]); continue; }
    if (!known[argv[i]] || (known[argv[i]][0] && i + 1 >= argv.length)) {
      process.stderr.write(usage + "\n");
      for (const [name, [takes, help]] of Object.entries(known)) {
        process.stderr.write(`  ${name}${takes ? " VALUE" : ""}  ${help}\n`);
      }
      process.exit(2);
    }
    list.push([argv[i], known[argv[i]][0] ? argv[++i] : true]);
  }
  const all = (name) => list.filter(([n]) => n === name).map(([, value]) => value);
  const one = (name, fallback) => all(name).pop() ?? fallback;
  return { list, rest, all, one, number: (name, fallback) => Number(one(name, fallback)) };
}

function closeArgument(text) {
  const colon = text.indexOf(":");
  return colon < 0 ? [Number(text), ""] : [Number(text.slice(0, colon)), text.slice(colon + 1)];
}

// Sends one message, in fragments of `size` bytes where size > 0. ws checks no fragment for whole characters.
function send(ws, data, binary, size) {
  if (size <= 0 || data.length <= size) { ws.send(data, { binary }); return; }
  for (let at = 0; at < data.length; at += size) {
    ws.send(data.subarray(at, at + size), { binary, fin: at + size >= data.length });
  }
}

module.exports = { WebSocket, version, say, fail, describe, textOf, parse, closeArgument, send };
