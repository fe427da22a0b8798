// Listens to event streams as programs do, and prints what it hears, one JSON text a line:
//   node listen.mjs eventsource|undici|parser URL...
import { get as getPlain } from "node:http";
import { get as getSecure } from "node:https";
import { constants, createGunzip } from "node:zlib";
import { EventSource } from "eventsource";
import { createParser } from "eventsource-parser";
import { EventSource as UndiciEventSource } from "undici";

const names = ["hello", "snapshot", "tick", "gap", "notice", "bye"];
const [kind, ...urls] = process.argv.slice(2);
const say = (stream, name, id, data) => console.log(JSON.stringify({ stream, name, id, data }));

function listen(url, stream) {
  const source = new EventSource(url);
  for (const name of names) source.addEventListener(name, (e) => say(stream, name, e.lastEventId, e.data));
}

// undici's EventSource does not notice that a connection was reset, so its user opens another one when it hears
// nothing for too long. That one goes on from the last id, which it cannot put into a header.
const silenceMs = 4000;

function listenWatching(url, stream, last = "") {
  const source = new UndiciEventSource(last ? `${url}&last_event_id=${last}` : url);
  let timer;
  const watch = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      source.close();
      listenWatching(url, stream, last);
    }, silenceMs);
  };
  for (const name of names) {
    source.addEventListener(name, (e) => {
      last = e.lastEventId || last;
      say(stream, name, e.lastEventId, e.data);
      watch();
    });
  }
  watch();
}

// The parser by itself: the program connects, decompresses and comes back on its own.
async function parse(url, stream) {
  let last = "";
  let retryMs = 1000;
  for (;;) {
    const parser = createParser({
      onEvent: ({ event, id, data }) => {
        last = id ?? last;
        say(stream, event, last, data);
      },
      onRetry: (ms) => (retryMs = ms),
    });
    await new Promise((ended) => {
      const headers = { "Accept-Encoding": "gzip", ...(last && { "Last-Event-ID": last }) };
      const request = (url.startsWith("https") ? getSecure : getPlain)(url, { headers }, (answer) => {
        const packed = answer.headers["content-encoding"] === "gzip";
        const body = packed ? answer.pipe(createGunzip({ finishFlush: constants.Z_SYNC_FLUSH })) : answer;
        const decoder = new TextDecoder();
        body.on("data", (piece) => parser.feed(decoder.decode(piece, { stream: true })));
        for (const end of [answer, body]) for (const name of ["error", "close"]) end.on(name, ended);
      });
      request.on("error", ended);
    });
    await new Promise((passed) => setTimeout(passed, retryMs));
  }
}

const listenAs = { eventsource: listen, undici: listenWatching, parser: parse }[kind];
urls.forEach((url, stream) => void listenAs(url, stream));
