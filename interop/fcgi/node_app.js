// node_app: the application of README.md on node-fastcgi, whose records are read by node-fastcgi-stream.
//
// Descriptor 0 is the listening socket. The library shares a connection between requests.
"use strict";

const crypto = require("crypto");
const fs = require("fs");
const fcgi = require("node-fastcgi");
const streams = require("node-fastcgi/lib/streams.js");

// The library's own forgets that it was asked while it had nothing: what comes then is kept for ever, and the upload stands still.
streams.IOStream.prototype._read = function () {
    this._canPush = true;
    while (this._canPush && this._buffer.length > 0)
        this._canPush = this.push(this._buffer.shift());
};

function see(request, response) {
    const hash = crypto.createHash("sha1");
    let bytes = 0;

    request.on("data", (data) => {
        bytes += data.length;
        hash.update(data);
    });
    request.on("end", () => {
        const fields = {}, params = {};
        for (const [name, value] of Object.entries(request.socket.params))
            if (name.startsWith("HTTP_"))
                fields[name.slice(5)] = value;
            else
                params[name] = value;
        response.writeHead(200, { "Content-Type": "application/json" });
        response.end(JSON.stringify({ method: request.method, uri: request.url, fields, params,
                                      body: { bytes, sha1: hash.digest("hex") } }));
    });
}

function sendLarge(response, left) {
    const block = Buffer.alloc(65536, Buffer.from(Array.from({ length: 251 }, (_, i) => i)));
    // 65536 is no multiple of 251, and the pattern begins anew with each block
    function more() {
        while (left > 0) {
            const n = Math.min(left, block.length);
            left -= n;
            if (!response.write(block.subarray(0, n)) && left > 0) {
                response.once("drain", more);
                return;
            }
        }
        response.end();
    }
    response.writeHead(200, { "Content-Type": "application/octet-stream" });
    more();
}

// The next piece waits until a file says that the last one has arrived.
function sendPieces(response, gate, n) {
    let i = 0, turns = 0;

    function next() {
        response.write(`piece ${++i}\n`);
        if (i === n) {
            response.end();
            return;
        }
        turns = 0;
        wait();
    }
    function wait() {
        if (fs.existsSync(`${gate}.${i}`) || ++turns > 6000)
            next();
        else
            setTimeout(wait, 10);
    }
    response.writeHead(200, { "Content-Type": "text/plain" });
    next();
}

function answer(request, response) {
    const url = new URL(request.url, "http://localhost");
    const query = url.searchParams, n = Number(query.get("n")), text = { "Content-Type": "text/plain" };

    switch (url.pathname.split("/")[1]) {
    case "see":
        return see(request, response);
    case "echo":
        response.writeHead(200, { "Content-Type": "application/octet-stream" });
        return request.pipe(response);
    case "large":
        return sendLarge(response, n);
    case "status":
        response.writeHead(Number(query.get("code")), text);
        return response.end(`status ${query.get("code")}\n`);
    case "redirect":
        response.writeHead(302, { Location: query.get("to") });
        return response.end();
    case "empty":
        response.writeHead(200, text);
        return response.end();
    case "stderr":
        request.socket.errorStream.write(query.get("word") + "\n");
        response.writeHead(200, text);
        return response.end("told\n");
    case "fields":
        response.writeHead(200, { ...text, "X-Long": "x".repeat(n), "Set-Cookie": ["a=1", "b=2"] });
        return response.end();
    case "gate":
        return sendPieces(response, query.get("at"), n);
    default:
        response.writeHead(404, text);
        return response.end();
    }
}

fcgi.createServer(answer).listen();
