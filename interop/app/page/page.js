// The demo's page: a WebSocket with its messages, round trips and close codes; a chat room; a few HTTP requests.
// No library, no outside resource. Every element that a test drives or reads is found by its id.
"use strict";

const $ = (id) => document.getElementById(id);
const MIB = 1024 * 1024;
const LOG_ROWS_MAX = 500;
const RTT_KEPT = 200;
const RTT_BARS = 60;

// RFC 6455 section 7.4.1 and the registry
const CLOSE_WORDS = {
  1000: "normal", 1001: "going away", 1002: "protocol error", 1003: "unsupported data", 1005: "no code was sent",
  1006: "ended without a Close frame", 1007: "invalid text", 1008: "policy", 1009: "message too big", 1010: "extension missing",
  1011: "internal error", 1012: "service restart", 1013: "try again later", 1014: "bad gateway", 1015: "TLS failed",
};

function sizeText(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < MIB) return `${(bytes / 1024).toFixed(1)} KiB`;
  return `${(bytes / MIB).toFixed(2)} MiB`;
}

function timeText(ms) {
  return ms < 10 ? `${ms.toFixed(2)} ms` : ms < 1000 ? `${ms.toFixed(1)} ms` : `${(ms / 1000).toFixed(2)} s`;
}

function clockText() {
  const now = new Date();
  return now.toTimeString().slice(0, 8) + "." + String(now.getMilliseconds()).padStart(3, "0");
}

function closeWords(code) {
  return CLOSE_WORDS[code] ?? (code >= 4000 ? "the application's own" : code >= 3000 ? "registered by a library" : "unknown");
}

function setState(id, state) {
  $(id).dataset.state = state;
  $(id).textContent = state;
}

function addressOf(path) {
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${path}`;
}

// Keeps the end of a list in view, unless the reader has scrolled up.
function appendTo(box, list, item, most) {
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
  list.append(item);
  while (list.childElementCount > most) list.firstElementChild.remove();
  if (atEnd) box.scrollTop = box.scrollHeight;
}

// ---- the list of messages ----

function logRow(way, what, size, trip, content) {
  const row = document.createElement("tr");
  row.dataset.way = way;
  for (const [text, number] of [[clockText()], [what], [size, true], [trip, true], [content]]) {
    const cell = row.insertCell();
    cell.textContent = text;
    if (number) cell.className = "number";
  }
  $("log-empty").hidden = true;
  appendTo($("log"), $("log-rows"), row, LOG_ROWS_MAX);
}

function logEvent(text, wrong = false) {
  logRow(wrong ? "wrong" : "event", wrong ? "fault" : "event", "", "", text);
}

// ---- round trips ----

const trips = [];

function showTrips() {
  const sorted = [...trips].sort((a, b) => a - b);
  const has = sorted.length > 0;
  $("rtt-last").textContent = has ? timeText(trips[trips.length - 1]) : "–";
  $("rtt-median").textContent = has ? timeText(sorted[sorted.length >> 1]) : "–";
  $("rtt-min").textContent = has ? timeText(sorted[0]) : "–";
  $("rtt-max").textContent = has ? timeText(sorted[sorted.length - 1]) : "–";
}

function drawTrips() {
  const shown = trips.slice(-RTT_BARS);
  const most = Math.max(...shown, 0.001);
  const bars = shown.map((ms, i) => {
    const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const height = Math.max(1, (ms / most) * 44);
    for (const [name, value] of [["x", i * 4 + 0.5], ["y", 48 - height], ["width", 3], ["height", height]]) bar.setAttribute(name, value);
    return bar;
  });
  $("rtt-chart").replaceChildren(...bars);
}

function addTrip(ms) {
  trips.push(ms);
  if (trips.length > RTT_KEPT) trips.shift();
  showTrips();
  drawTrips();
}

// ---- the WebSocket ----

let socket = null;
let counts;
let awaited = [];          // what was sent and has not come back: an echo keeps the order
let pings = 0;

function showCounts() {
  $("sent-count").textContent = counts.sent;
  $("sent-bytes").textContent = sizeText(counts.sentBytes);
  $("received-count").textContent = counts.received;
  $("received-bytes").textContent = sizeText(counts.receivedBytes);
}

function showControls() {
  const open = socket !== null && socket.readyState === WebSocket.OPEN;
  for (const id of ["send", "send-binary", "ping"]) $(id).disabled = !open;
  $("connect").disabled = socket !== null;
  $("disconnect").disabled = socket === null;
}

function bytesOf(data) {
  return typeof data === "string" ? new TextEncoder().encode(data).length : data.byteLength;
}

function same(a, b) {
  if (typeof a === "string" || typeof b === "string") return a === b;
  const x = new Uint8Array(a);
  const y = new Uint8Array(b);
  return x.length === y.length && x.every((byte, i) => byte === y[i]);
}

function preview(data) {
  if (typeof data === "string") return data.length > 200 ? `${data.slice(0, 200)}…` : data;
  const start = [...new Uint8Array(data, 0, Math.min(6, data.byteLength))];
  return start.map((byte) => byte.toString(16).padStart(2, "0")).join(" ") + (data.byteLength > 6 ? " …" : "");
}

function kindOf(data) {
  return typeof data === "string" ? "text" : "binary";
}

function sendData(data) {
  if (socket === null || socket.readyState !== WebSocket.OPEN) return;
  awaited.push({ data, at: performance.now() });
  socket.send(data);
  counts.sent++;
  counts.sentBytes += bytesOf(data);
  logRow("sent", `↑ ${kindOf(data)}`, sizeText(bytesOf(data)), "", preview(data));
  showCounts();
}

function receiveData(data) {
  const now = performance.now();
  const first = awaited[0];
  let trip = "";
  let note = "";
  counts.received++;
  counts.receivedBytes += bytesOf(data);
  if (first && same(first.data, data)) {
    awaited.shift();
    trip = timeText(now - first.at);
    addTrip(now - first.at);
    note = typeof data === "string" ? "" : "  identical, byte for byte";
  }
  logRow("received", `↓ ${kindOf(data)}`, sizeText(bytesOf(data)), trip, preview(data) + note);
  showCounts();
}

function showClose(event) {
  $("closed-code").textContent = event.code;
  $("closed-words").textContent = `(${closeWords(event.code)})`;
  $("closed-clean").dataset.clean = event.wasClean;
  $("closed-clean").textContent = event.wasClean ? "clean" : "not clean";
  $("closed-reason").textContent = event.reason;
  $("closed-reason").hidden = event.reason === "";
}

function onOpen() {
  const agreed = [socket.protocol, socket.extensions].filter((text) => text !== "");
  $("agreed").textContent = agreed.join(", ") || "no extension";
  setState("state", "open");
  logEvent(`open: ${socket.url}${agreed.length ? ` with ${agreed.join(", ")}` : ""}`);
  showControls();
  $("message").focus();
}

function onClose(event) {
  const opened = $("state").dataset.state !== "connecting";
  setState("state", opened || event.wasClean ? "closed" : "failed");
  showClose(event);
  logEvent(`closed: ${event.code} (${closeWords(event.code)}), ${event.wasClean ? "clean" : "not clean"}` +
           (event.reason ? `, “${event.reason}”` : ""), !event.wasClean);
  socket = null;
  showControls();
}

function connect() {
  const subprotocol = $("subprotocol").value.trim();
  try {
    socket = subprotocol ? new WebSocket($("url").value, subprotocol) : new WebSocket($("url").value);
  } catch (error) {
    logEvent(error.message, true);
    return;
  }
  counts = { sent: 0, sentBytes: 0, received: 0, receivedBytes: 0 };
  awaited = [];
  trips.length = 0;
  socket.binaryType = "arraybuffer";
  socket.onopen = onOpen;
  socket.onmessage = (event) => receiveData(event.data);
  socket.onclose = onClose;
  setState("state", "connecting");
  $("agreed").textContent = "–";
  showCounts();
  showTrips();
  drawTrips();
  showControls();
}

function disconnect() {
  const wasOpen = socket.readyState === WebSocket.OPEN;
  try {
    socket.close(Number($("close-code").value), $("close-reason").value);
  } catch (error) {                      // the browser lets a page send 1000 and 3000 to 4999 only
    logEvent(error.message, true);
    return;
  }
  if (wasOpen) setState("state", "closing");
}

function randomBytes(size) {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 65536) crypto.getRandomValues(bytes.subarray(at, Math.min(at + 65536, size)));
  return bytes.buffer;
}

function ping() {
  sendData(`ping ${++pings}`);
}

function setUpSocket() {
  $("url").value = addressOf("/echo");
  $("connection").addEventListener("submit", (event) => { event.preventDefault(); connect(); });
  $("closing").addEventListener("submit", (event) => { event.preventDefault(); disconnect(); });
  $("sending").addEventListener("submit", (event) => {
    event.preventDefault();
    sendData($("message").value);
    $("message").value = "";
  });
  $("message").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!$("send").disabled) $("sending").requestSubmit();
  });
  $("send-binary").addEventListener("click", () => sendData(randomBytes(MIB)));
  $("ping").addEventListener("click", ping);
  setInterval(() => { if ($("auto-ping").checked) ping(); }, 1000);
  $("clear").addEventListener("click", () => { $("log-rows").replaceChildren(); $("log-empty").hidden = false; });
  showControls();
}

// ---- the chat ----

let chat = null;
let members = [];
let ownNick = "";

function showChat() {
  const open = chat !== null && chat.readyState === WebSocket.OPEN;
  $("chat-say").disabled = $("chat-text").disabled = !open;
  $("chat-join").textContent = chat === null ? "Join" : "Leave";
  $("chat-nick").disabled = chat !== null;
  $("chat-members").textContent = members.length ? members.join(", ") : "nobody yet";
}

function chatLine(text, nick) {
  const item = document.createElement("li");
  if (nick === undefined) item.className = "event";
  else item.append(Object.assign(document.createElement("b"), { textContent: nick }));
  item.append(text);
  appendTo($("chat-log"), $("chat-log"), item, LOG_ROWS_MAX);
}

const CHAT_HEARD = {
  welcome(m) { ownNick = m.nick; members = m.members; chatLine(`You are ${m.nick}.`); },
  joined(m) {
    if (!members.includes(m.nick)) members.push(m.nick);
    if (m.nick !== ownNick) chatLine(`${m.nick} joined.`);
  },
  left(m) { members = members.filter((nick) => nick !== m.nick); chatLine(`${m.nick} left.`); },
  renamed(m) {
    members = members.map((nick) => (nick === m.from ? m.to : nick));
    if (ownNick === m.from) ownNick = m.to;
    chatLine(`${m.from} is now ${m.to}.`);
  },
  said(m) { chatLine(m.text, m.nick); },
  who(m) { members = m.members; chatLine(`Here: ${m.members.join(", ")}.`); },
  error(m) { chatLine(m.text); },
};

function join() {
  const nick = $("chat-nick").value.trim();
  chat = new WebSocket(addressOf(`/chat${nick ? `?nick=${encodeURIComponent(nick)}` : ""}`), "chat");
  chat.onopen = () => { setState("chat-state", "open"); showChat(); $("chat-text").focus(); };
  chat.onmessage = (event) => {
    const message = JSON.parse(event.data);
    CHAT_HEARD[message.type]?.(message);
    showChat();
  };
  chat.onclose = (event) => {
    chatLine(`The room is closed to you: ${event.code} (${closeWords(event.code)})${event.reason ? `, “${event.reason}”` : ""}.`);
    chat = null;
    members = [];
    setState("chat-state", "closed");
    showChat();
  };
  setState("chat-state", "connecting");
  showChat();
}

function setUpChat() {
  $("chat-entry").addEventListener("submit", (event) => {
    event.preventDefault();
    if (chat === null) join();
    else chat.close(1000, "left the room");
  });
  $("chat-speaking").addEventListener("submit", (event) => {
    event.preventDefault();
    if ($("chat-text").value !== "") chat.send($("chat-text").value);
    $("chat-text").value = "";
  });
}

// ---- HTTP ----

async function showStream(response, started) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    $("http-output").textContent += `${timeText(performance.now() - started).padStart(9)}  ${piece.value}`;
    $("http-output").scrollTop = $("http-output").scrollHeight;
  }
}

async function showDownload(response, started) {
  const reader = response.body.getReader();
  let bytes = 0;
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) bytes += piece.value.length;
  const ms = performance.now() - started;
  $("http-output").textContent += `${bytes} bytes in ${timeText(ms)}: ${sizeText((bytes / ms) * 1000)}/s\n`;
}

async function showText(response) {
  $("http-output").textContent += await response.text();
}

// One request; its status line and chosen fields, then what `show` makes of its body.
async function request(path, options, show) {
  const started = performance.now();
  setState("http-state", "connecting");
  $("http-output").textContent = `${options.method ?? "GET"} ${path}\n`;
  try {
    const response = await fetch(path, { cache: "no-store", ...options });
    $("http-output").textContent += `${response.status} ${response.statusText} after ${timeText(performance.now() - started)}\n` +
      `Via: ${response.headers.get("via") ?? "(none)"}\n\n`;
    await show(response, started);
    setState("http-state", "closed");
    $("http-state").textContent = "done";
  } catch (error) {
    $("http-output").textContent += `${error}\n`;
    setState("http-state", "failed");
  }
}

function setUpHttp() {
  $("http-headers").addEventListener("click", () => request("/headers", {}, showText));
  $("http-stream").addEventListener("click", () => request("/stream?n=10&ms=200", {}, showStream));
  $("http-upload").addEventListener("click", () => request("/upload", { method: "POST", body: randomBytes(5 * MIB) }, showText));
  $("http-large").addEventListener("click", () => request(`/large?n=${20 * MIB}`, {}, showDownload));
}

$("gateway-address").textContent = location.host;
setUpSocket();
setUpChat();
setUpHttp();
showChat();
