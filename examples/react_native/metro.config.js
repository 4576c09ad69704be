const path = require("node:path");
const { getDefaultConfig } = require("expo/metro-config");

const config = getDefaultConfig(__dirname);
// client.js lies outside this folder; tsconfig.json says where. In an app of your own, copy it in.
config.watchFolders = [path.resolve(__dirname, "../../flask_otp_auth/static/otp_auth")];
config.resolver.nodeModulesPaths = [path.resolve(__dirname, "node_modules")];

module.exports = config;
