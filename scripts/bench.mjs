import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ensureDocker, stopDocker } from './bootstrap/docker.mjs';
import { main, say } from './bootstrap/log.mjs';
import { home, root } from './bootstrap/paths.mjs';
import { prepare } from './bootstrap/prepare.mjs';
import { inForeground } from './bootstrap/process.mjs';
import { runAttached } from './bootstrap/run.mjs';
import { nodeBin, toolEnvironment } from './bootstrap/toolchain.mjs';

const SUFFIX = '.bench.ts';
const dir = join(root, 'bench');

main(async () => {
  const [name = '', ...args] = process.argv.slice(2);
  const names = readdirSync(dir)
    .filter((file) => file.endsWith(SUFFIX))
    .map((file) => file.slice(0, -SUFFIX.length));
  const asked = name === '--help' || name === '-h';
  if (asked || !names.includes(name)) {
    say(
      asked || name === ''
        ? 'usage: npm run bench -- NAME [--json]'
        : `there is no benchmark ${JSON.stringify(name)}`,
    );
    say(`benchmarks: ${names.join(', ')}`);
    return asked ? 0 : 2;
  }
  const finished = await prepare({ why: 'Measuring with real containers', system: 'bench' });
  if (finished !== undefined) return finished;
  const docker = await ensureDocker();
  try {
    const env = toolEnvironment({ BERTH_HOME: home, DOCKER_HOST: docker.dockerHost });
    return await runAttached(nodeBin, [join(dir, `${name}${SUFFIX}`), ...args], {
      env,
      cwd: root,
      foreground: inForeground,
    });
  } finally {
    // Quietly: the benchmark's own last line is the result.
    if (docker.started) await stopDocker({ purge: false });
  }
});
