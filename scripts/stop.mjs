import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ensureOwnDocker, stopDocker } from './bootstrap/docker.mjs';
import { elevate } from './bootstrap/elevate.mjs';
import { main, say } from './bootstrap/log.mjs';
import { distDir, home, root } from './bootstrap/paths.mjs';
import { inForeground } from './bootstrap/process.mjs';
import { runAttached } from './bootstrap/run.mjs';
import { nodeBin, toolEnvironment } from './bootstrap/toolchain.mjs';

const args = process.argv.slice(2);

main(async () => {
  // Looked at before anything is removed: a question about it, or a slip, must not take anything away.
  const unknown = args.find((word) => !['-y', '--yes', '--json'].includes(word));
  if (unknown !== undefined) {
    const asked = unknown === '--help' || unknown === '-h';
    if (!asked) say(`${unknown} is not an option of npm stop`);
    say('usage: npm stop -- [--json]; removes all that npm start made, for good');
    return asked ? 0 : 2;
  }
  const finished = await elevate('Removing containers and network tables');
  if (finished !== undefined) return finished;
  const cli = join(distDir, 'cli.js');
  let code = 0;
  if (existsSync(cli) && existsSync(nodeBin) && existsSync(home)) {
    // A daemon of ours that died keeps containers nobody can remove: it comes back for that.
    const own = await ensureOwnDocker();
    const env = toolEnvironment({
      BERTH_HOME: home,
      BERTH_STARTED_BY: 'npm',
      ...(own && { DOCKER_HOST: own.dockerHost }),
    });
    code = await runAttached(nodeBin, [cli, 'down', '-y', ...args], {
      env,
      cwd: root,
      foreground: inForeground,
    });
  }
  if (code !== 0) {
    say(
      'not everything could be removed, so the Docker daemon stays up for another try: see above, then npm stop again',
    );
    return code;
  }
  if (await stopDocker({ purge: true }))
    say('stopped the Docker daemon that Berth had started, and removed its data');
  say('all of it is gone, volumes too; .berth/toolchain, node_modules and dist stay for the next start');
  return code;
});
