import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ensureDocker, stopDocker } from './bootstrap/docker.mjs';
import { main, Sentence } from './bootstrap/log.mjs';
import { distDir, home, root } from './bootstrap/paths.mjs';
import { prepare } from './bootstrap/prepare.mjs';
import { inForeground } from './bootstrap/process.mjs';
import { runAttached } from './bootstrap/run.mjs';
import { nodeBin, toolEnvironment } from './bootstrap/toolchain.mjs';

const args = process.argv.slice(2);
const cli = join(distDir, 'cli.js');
const up = (more, environment = {}) =>
  runAttached(nodeBin, [cli, 'up', '--example', ...args, ...more], {
    env: toolEnvironment({ BERTH_HOME: home, BERTH_STARTED_BY: 'npm', ...environment }),
    cwd: root,
    foreground: inForeground,
  });

main(async () => {
  const finished = await prepare({ why: 'Running containers', system: 'run', built: checkArguments });
  if (finished !== undefined) return finished;
  const docker = await ensureDocker();
  try {
    return await up([], { DOCKER_HOST: docker.dockerHost });
  } finally {
    // A trial leaves nothing behind. Quietly: its last line is its result.
    if (args.includes('--once') && docker.started) await stopDocker({ purge: docker.fresh });
  }
});

/** A wrong command line, or a question about it, starts nothing: the command line itself looks at its arguments first. */
async function checkArguments() {
  if (!existsSync(cli)) throw new Sentence('dist/cli.js was not built: packages/cli/src/main.ts is missing.');
  if (args.length === 0) return undefined;
  const code = await up(['--check-args']);
  const asked = args.some((word) => ['-h', '--help'].includes(word));
  return code !== 0 || asked ? code : undefined;
}
