import js from "@eslint/js";
import globals from "globals";

export default [
  { ...js.configs.recommended, files: ["**/*.js"], languageOptions: { ecmaVersion: "latest", sourceType: "module", globals: globals.browser } },
  { files: ["**/*-worklet.js"], languageOptions: { globals: globals.audioWorklet } },
  { files: ["**/service-worker.js"], languageOptions: { globals: globals.serviceworker } },
];
