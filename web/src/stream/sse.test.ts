import { describe, expect, it } from "vitest";
import { EventStreamParser, type Block } from "./sse";

const parse = (...pieces: string[]): Block[] => {
  const parser = new EventStreamParser();
  return pieces.flatMap((piece) => parser.push(piece));
};
const block = (part: Partial<Block>): Block => ({ event: "message", data: null, id: null, retryMs: null, ...part });

const text = 'retry: 2210\nevent: hello\ndata: {"a":1}\n\n: a comment\n\nid: 5000\nevent: tick\ndata: {"end":5000,\ndata: "x":"é"}\n\nid: 6000\n\n';
const blocks = [
  block({ event: "hello", data: '{"a":1}', retryMs: 2210 }),
  block({}),
  block({ event: "tick", data: '{"end":5000,\n"x":"é"}', id: "5000" }),
  block({ id: "6000" }),
];

describe("event stream", () => {
  it("reads events, comments, ids without an event, and retry", () => {
    expect(parse(text)).toEqual(blocks);
  });

  it("reads the same wherever the text is cut, and whatever ends its lines", () => {
    for (const form of [text, text.replaceAll("\n", "\r\n"), text.replaceAll("\n", "\r") + "\n"]) {
      for (let cut = 0; cut <= form.length; cut++) {
        expect(parse(form.slice(0, cut), form.slice(cut)).slice(0, 4)).toEqual(blocks);
      }
      expect(parse(...form.split("")).slice(0, 4)).toEqual(blocks);
    }
  });

  it("takes one space off a value, and ignores what it does not know", () => {
    expect(parse("data:  a\ndata:b\ndata\nnews: c\nretry: soon\nid: 1\0\n\n")).toEqual([block({ data: " a\nb\n" })]);
  });

  it("keeps nothing of a block that did not end", () => {
    expect(parse("event: tick\ndata: {}\n")).toEqual([]);
  });

  it("refuses a block without an end", () => {
    const parser = new EventStreamParser();
    const piece = "x".repeat(8 * 1024 * 1024);
    expect(() => {
      for (let i = 0; i < 5; i++) parser.push(piece);
    }).toThrow("longer than");
  });
});
