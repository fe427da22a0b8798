import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["dist/", "node_modules/"] },
  {
    files: ["src/**/*.{ts,tsx}"],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      eqeqeq: "error",
      "max-lines": ["error", { max: 260, skipBlankLines: true, skipComments: true }],
      "no-restricted-globals": ["error", { name: "localStorage", message: "use src/lib/saved.ts: storage may be forbidden" }],
      // Numbers and booleans in templates are what a dashboard writes all day.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
    },
  },
);
