import { describe, expect, it } from "vitest";
import { ownPath, parseRoute } from "./route";

const at = (path: string, query = "") => parseRoute(path, new URLSearchParams(query));

describe("addresses", () => {
  it("name the pages", () => {
    expect(at("/")).toEqual({ page: "overview" });
    expect(at("/hosts/web-1")).toEqual({ page: "host", agent: "web-1" });
    expect(at("/hosts/a%2Fb%20c/")).toEqual({ page: "host", agent: "a/b c" });
    expect(at("/d/telltale")).toEqual({ page: "board", id: "telltale" });
    expect([at("/d/"), at("/d/a/b"), at("/d/%ff")].map((r) => r.page)).toEqual(Array(3).fill("unknown"));
    expect(at("/login", "next=%2Fhosts%2Fa")).toEqual({ page: "login", next: "/hosts/a" });
    expect([at("/hosts/"), at("/hosts/a/b"), at("/hosts/%ff"), at("/other")].map((r) => r.page)).toEqual(Array(4).fill("unknown"));
  });

  it("lead nowhere else after signing in", () => {
    expect(["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "/login?next=/", "", null].map(ownPath)).toEqual(
      Array(7).fill("/"),
    );
    expect(ownPath("/hosts/a?kiosk=1")).toBe("/hosts/a?kiosk=1");
  });
});
