import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig, loadEnv, type Plugin } from "vite";

// In an application of your own, copy client.js into src and import it from there.
const client = fileURLToPath(
  new URL("../../flask_otp_auth/static/otp_auth/client.js", import.meta.url),
);

/** Tokens lie within reach of scripts, so the built page runs none but its own. */
function contentSecurityPolicy(apiUrl: string): Plugin {
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    `connect-src ${new URL(apiUrl).origin}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  return {
    name: "content-security-policy",
    apply: "build",
    transformIndexHtml: () => [
      {
        tag: "meta",
        attrs: { "http-equiv": "Content-Security-Policy", content: policy },
        injectTo: "head-prepend",
      },
    ],
  };
}

export default defineConfig(({ mode }) => {
  const { VITE_API_URL } = loadEnv(mode, fileURLToPath(new URL(".", import.meta.url)));
  return {
    plugins: [react(), contentSecurityPolicy(VITE_API_URL)],
    resolve: { alias: { "flask-otp-auth/client": client } },
    server: { fs: { allow: [".", client] } },
  };
});
