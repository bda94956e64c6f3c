import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withLock } from './lock.mjs';
import { say, Sentence } from './log.mjs';
import { toolchainDir } from './paths.mjs';
import { run } from './run.mjs';

const NODE_VERSION = '24.21.0';
const PNPM_VERSION = '11.28.11';

const nodePackage = `node-linux-${process.arch}`;

/** The toolchain's Node 24. */
export const nodeBin = join(toolchainDir, 'node_modules', nodePackage, 'bin', 'node');
export const pnpmScript = join(toolchainDir, 'node_modules', 'pnpm', 'bin', 'pnpm.mjs');

/** Makes sure Node 24 and pnpm are under `.berth/toolchain`; both are ordinary npm packages, nothing global changes. */
export async function ensureToolchain() {
  if (process.platform !== 'linux' || (process.arch !== 'x64' && process.arch !== 'arm64')) {
    throw new Sentence(
      `Berth runs on Linux on x64 or arm64; this is ${process.platform} on ${process.arch}.`,
    );
  }
  if (isCurrent()) return;
  await withLock(`${toolchainDir}.lock`, async () => {
    if (isCurrent()) return;
    say(`installing Node ${NODE_VERSION} and pnpm ${PNPM_VERSION} into .berth/toolchain`);
    await install();
  });
}

async function install() {
  const staged = `${toolchainDir}.new`;
  rmSync(staged, { recursive: true, force: true });
  mkdirSync(staged, { recursive: true });
  const dependencies = { [nodePackage]: NODE_VERSION, pnpm: PNPM_VERSION };
  writeFileSync(join(staged, 'package.json'), JSON.stringify({ private: true, dependencies }));
  const [file, args] = npmCommand();
  await run(
    file,
    [
      ...args,
      'install',
      '--prefix',
      staged,
      '--no-audit',
      '--no-fund',
      '--ignore-scripts',
      '--loglevel=error',
    ],
    { cwd: staged, env: plainEnvironment(), what: 'installing Node 24 and pnpm with npm' },
  );
  rmSync(toolchainDir, { recursive: true, force: true });
  renameSync(staged, toolchainDir);
  if (!isCurrent())
    throw new Sentence(`npm finished, but ${nodeBin} is not there; remove .berth/toolchain and try again.`);
}

function isCurrent() {
  return (
    existsSync(nodeBin) &&
    existsSync(pnpmScript) &&
    versionOf(nodePackage) === NODE_VERSION &&
    versionOf('pnpm') === PNPM_VERSION
  );
}

function versionOf(name) {
  try {
    return JSON.parse(readFileSync(join(toolchainDir, 'node_modules', name, 'package.json'), 'utf8')).version;
  } catch {
    return undefined;
  }
}

/** The npm that started us, else the one in the PATH. */
function npmCommand() {
  const script = process.env.npm_execpath;
  if (script && /npm-cli\.js$/.test(script) && existsSync(script)) return [process.execPath, [script]];
  return ['npm', []];
}

/** Without what an outer `npm run` sets about its own package, which would point the inner one at it. */
function plainEnvironment() {
  const dropped = /^npm_(package_|lifecycle_|config_(prefix|local_prefix|global|omit|include)$)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !dropped.test(name)));
}

/** The environment for programs that should find the toolchain's Node and our tools first. */
export function toolEnvironment(extra = {}) {
  const path = [join(toolchainDir, 'node_modules', '.bin'), ...(process.env.PATH ?? '').split(':')];
  return { ...process.env, PATH: path.filter(Boolean).join(':'), ...extra };
}
