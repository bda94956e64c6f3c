import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ensureDocker } from './bootstrap/docker.mjs';
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
  const args = [cli, 'up', '--example', ...process.argv.slice(2)];
  return runAttached(nodeBin, args, { env, cwd: root, foreground: inForeground });
});
