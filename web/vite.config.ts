import { createHash } from "node:crypto";
import { defineConfig, type Plugin } from "vite";

// The build's id is the hash of its file names, which carry the hashes of their contents. The hub reads it from
// build.txt and tells it in each stream's hello, so that a page left open for weeks notices a newer one.
function buildId(): Plugin {
  return {
    name: "build-id",
    enforce: "post",
    generateBundle(_options, bundle) {
      const names = Object.keys(bundle).sort().join("\n");
      const id = createHash("sha256").update(names).digest("hex").slice(0, 12);
      this.emitFile({ type: "asset", fileName: "build.txt", source: id + "\n" });
    },
  };
}

export default defineConfig({
  plugins: [buildId()],
  build: {
    target: "es2022",
    // No data: URLs for scripts and styles, so that the hub can serve a strict Content-Security-Policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
});
