/**
 * dockerode brings an ssh client and gRPC for ways to a daemon that Berth never takes: the agent speaks to its own
 * host's unix socket. Loading them costs resident memory on every host, so the bundle holds a stand-in that says so
 * when it is used.
 */
const NAMES = /^(ssh2|cpu-features|@grpc\/grpc-js|@grpc\/proto-loader|protobufjs)$/;

export const unusedPackages = {
  name: 'unused-packages',
  setup(build) {
    // zod speaks fifty languages and loads them all; Berth's messages are English.
    build.onLoad({ filter: /[\\/]zod[\\/]v4[\\/]locales[\\/]index\.js$/ }, () => ({
      loader: 'js',
      contents: "export { default as en } from './en.js';",
    }));
    // An ES import of node:http asks for each of its exports, and one of them loads Node's whole fetch and WebSocket: 12 MB
    // that the agent never uses. require() asks for none.
    build.onResolve({ filter: /^(node:)?http$/, namespace: 'file' }, () => ({
      path: 'node:http',
      namespace: 'by-require',
    }));
    build.onResolve({ filter: /.*/, namespace: 'by-require' }, ({ path }) => ({ path, external: true }));
    build.onLoad({ filter: /.*/, namespace: 'by-require' }, ({ path }) => ({
      loader: 'js',
      contents: `module.exports = require(${JSON.stringify(path)});`,
    }));
    build.onResolve({ filter: NAMES }, ({ path }) => ({ path, namespace: 'unused-package' }));
    build.onLoad({ filter: /.*/, namespace: 'unused-package' }, ({ path }) => ({
      loader: 'js',
      contents: standIn(path),
    }));
  },
};

const standIn = (name) => `
module.exports = new Proxy({}, {
  get: (_target, key) => function unused() {
    throw new Error(${JSON.stringify(`${name} is left out of this build: Berth speaks to Docker over its unix socket only (asked for `)} + String(key) + ')');
  },
});
`;
