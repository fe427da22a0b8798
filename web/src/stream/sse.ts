// The text of an event stream, as the HTML standard has it, in whatever pieces it arrives.

/** One block of lines. Heartbeats have no data: they move the id on. */
export interface Block {
  readonly event: string;
  /** Null where the block has no data, and so is no event. */
  readonly data: string | null;
  readonly id: string | null;
  readonly retryMs: number | null;
}

/** Far more than any block of the hub's; what goes on without an end is no event stream. */
const maxBlockChars = 32 * 1024 * 1024;

export class EventStreamParser {
  #rest = "";
  #chars = 0;
  #data: string[] = [];
  #event = "";
  #id: string | null = null;
  #retryMs: number | null = null;

  /** Takes the next piece and returns the blocks that end in it. */
  push(text: string): Block[] {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    const blocks: Block[] = [];
    for (const line of lines) {
      if (line === "") blocks.push(this.#end());
      else this.#field(line);
    }
    if (this.#chars + this.#rest.length > maxBlockChars) throw new Error(`a block of the stream is longer than ${maxBlockChars} characters`);
    return blocks;
  }

  #field(line: string): void {
    this.#chars += line.length;
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (name === "data") this.#data.push(value);
    else if (name === "event") this.#event = value;
    else if (name === "id" && !value.includes("\0")) this.#id = value;
    else if (name === "retry" && /^\d+$/.test(value)) this.#retryMs = Number(value);
  }

  #end(): Block {
    const block = {
      event: this.#event === "" ? "message" : this.#event,
      data: this.#data.length === 0 ? null : this.#data.join("\n"),
      id: this.#id,
      retryMs: this.#retryMs,
    };
    this.#data = [];
    this.#event = "";
    this.#id = null;
    this.#retryMs = null;
    this.#chars = 0;
    return block;
  }
}
