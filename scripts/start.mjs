import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ensureDocker, stopDocker } from './bootstrap/docker.mjs';
import { main, Sentence } from './bootstrap/log.mjs';
import { distDir, home, root } from './bootstrap/paths.mjs';
import { prepare } from './bootstrap/prepare.mjs';
import { inForeground } from './bootstrap/process.mjs';
import { runAttached } from './bootstrap/run.mjs';
import { nodeBin, toolEnvironment } from './bootstrap/toolchain.mjs';

main(async () => {
  const finished = await prepare({ why: 'Running containers', system: 'run' });
  if (finished !== undefined) return finished;
  const cli = join(distDir, 'cli.js');
  if (!existsSync(cli)) throw new Sentence('dist/cli.js was not built: packages/cli/src/main.ts is missing.');
  const docker = await ensureDocker();
  const env = toolEnvironment({ BERTH_HOME: home, DOCKER_HOST: docker.dockerHost });
  const args = process.argv.slice(2);
  try {
    return await runAttached(nodeBin, [cli, 'up', '--example', ...args], {
      env,
      cwd: root,
      foreground: inForeground,
    });
  } finally {
    // A trial leaves nothing behind. Quietly: its last line is its result.
    if (args.includes('--once') && docker.started) await stopDocker({ purge: docker.fresh });
  }
});
