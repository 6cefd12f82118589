#!/usr/bin/env node
// An echo server on npm's `ws` as fast as it goes: no log, and none of its limits on fragments, which the suite's
// messages of 65536 frames exceed. Prints {"event":"ready","address":"127.0.0.1:PORT"} once it listens.
"use strict";

const { WebSocket, version, say } = require("../peers/peer_common.js");

const server = new WebSocket.Server({
  host: "127.0.0.1",
  port: 0,
  perMessageDeflate: true,
  maxPayload: 64 << 20,
  maxFragments: 0,
  maxBufferedChunks: 0,
});

server.on("connection", (ws) => {
  ws.on("error", () => {}); // a frame that may not be; ws has answered it with a Close by itself
  ws.on("message", (data, binary) => ws.send(data, { binary }));
});
server.on("listening", () => say("ready", { address: `127.0.0.1:${server.address().port}`, version }));
process.on("SIGTERM", () => process.exit(0));
