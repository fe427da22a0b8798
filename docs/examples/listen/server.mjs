// Serves the page, and forwards /api to the hub, as a web server in front of it would.
//   node server.mjs [http://127.0.0.1:8080] [8090]
import { readFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import { pipeline } from "node:stream";

const [hub = "http://127.0.0.1:8080", port = "8090"] = process.argv.slice(2);

const file = async (name, type) => ({ type: `${type}; charset=utf-8`, content: await readFile(new URL(name, import.meta.url)) });
const files = new Map([
  ["/", await file("index.html", "text/html")],
  ["/sign-in.html", await file("sign-in.html", "text/html")],
  ["/style.css", await file("style.css", "text/css")],
]);

// These are about one connection, not about the message: each side of the proxy has its own.
const hopByHop = new Set(["connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade"]);

const endToEnd = (headers) => Object.fromEntries(Object.entries(headers).filter(([name]) => !hopByHop.has(name)));

/** What goes on to the hub. Host stays as it came, for the hub compares it with Origin; where a client says that it comes from does not. */
function onward({ headers, socket }) {
  const forwarded = { "x-forwarded-for": socket.remoteAddress, "x-forwarded-host": headers.host, "x-forwarded-proto": "http" };
  return { ...endToEnd(headers), ...forwarded };
}

function forward(asked, answer) {
  const upstream = request(hub, { method: asked.method, path: asked.url, headers: onward(asked), agent: false }, (reply) => {
    answer.writeHead(reply.statusCode, endToEnd(reply.headers));
    answer.flushHeaders(); // a stream is open before its first event
    pipeline(reply, answer, () => {}); // as it comes; where one side breaks off, so does the other
  });
  upstream.on("error", (error) => {
    if (answer.headersSent) return answer.destroy();
    answer.writeHead(502, { "Content-Type": "application/json" });
    answer.end(JSON.stringify({ error: { code: "hub_unreachable", message: `the hub at ${hub} does not answer: ${error.message}` } }));
  });
  answer.on("close", () => upstream.destroy()); // a viewer who left is no viewer at the hub
  asked.pipe(upstream);
}

const server = createServer((asked, answer) => {
  if (asked.url.startsWith("/api/")) return forward(asked, answer);
  const found = files.get(asked.url);
  if (!found) return answer.writeHead(404).end();
  answer.writeHead(200, { "Content-Type": found.type }).end(found.content);
});
server.listen(Number(port), "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => {
    server.close();
    server.closeAllConnections(); // streams never end by themselves
  });
}
