import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withLock } from './lock.mjs';
import { say } from './log.mjs';
import { root, toolchainDir } from './paths.mjs';
import { run } from './run.mjs';
import { nodeBin, pnpmScript, toolEnvironment } from './toolchain.mjs';

const stampFile = join(root, 'node_modules', '.berth-stamp');

/** Installs what the lockfile says, and only when it or a package.json has changed since the last time. */
export async function ensureDependencies() {
  if (isCurrent()) return;
  await withLock(`${toolchainDir}.lock`, async () => {
    if (isCurrent()) return;
    say('installing packages with pnpm, exactly as locked');
    await run(
      nodeBin,
      [
        pnpmScript,
        'install',
        '--frozen-lockfile',
        '--reporter=append-only',
        '--config.confirmModulesPurge=false',
      ],
      { cwd: root, env: toolEnvironment({ CI: 'true' }), what: 'installing packages with pnpm' },
    );
    writeFileSync(stampFile, fingerprint());
  });
}

function isCurrent() {
  return existsSync(stampFile) && readFileSync(stampFile, 'utf8') === fingerprint();
}

function fingerprint() {
  const hash = createHash('sha256');
  const packages = readdirSync(join(root, 'packages')).map((name) => join('packages', name));
  const manifests = [...packages.sort(), 'test', 'bench']
    .map((dir) => join(dir, 'package.json'))
    .filter((file) => existsSync(join(root, file)));
  for (const file of ['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'package.json', ...manifests]) {
    hash.update(`${file}\0`).update(readFileSync(join(root, file)));
  }
  return hash.digest('hex');
}
