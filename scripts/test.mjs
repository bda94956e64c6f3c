import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureDocker, stopDocker } from './bootstrap/docker.mjs';
import { main, say } from './bootstrap/log.mjs';
import { home, root } from './bootstrap/paths.mjs';
import { prepare } from './bootstrap/prepare.mjs';
import { inForeground } from './bootstrap/process.mjs';
import { runAttached } from './bootstrap/run.mjs';
import { postgresBinaries, staticBusybox } from './bootstrap/system.mjs';
import { nodeBin, toolEnvironment } from './bootstrap/toolchain.mjs';

main(async () => {
  const finished = await prepare({ why: 'Testing with real containers', system: 'test' });
  if (finished !== undefined) return finished;
  const busybox = await staticBusybox();
  const docker = await ensureDocker();
  const scratch = mkdtempSync(join(tmpdir(), 'berth-test-'));
  const resultFile = join(scratch, 'result.json');
  let code = 1;
  try {
    code = await runAttached(
      nodeBin,
      [
        join(root, 'node_modules/vitest/vitest.mjs'),
        'run',
        `--reporter=${join(root, 'scripts/test/reporter.mjs')}`,
        ...process.argv.slice(2),
      ],
      {
        cwd: root,
        foreground: inForeground,
        env: toolEnvironment({
          BERTH_HOME: home,
          DOCKER_HOST: docker.dockerHost,
          BERTH_POSTGRES_BIN: postgresBinaries() ?? '',
          BERTH_BUSYBOX: busybox,
          BERTH_TEST_RESULT: resultFile,
        }),
      },
    );
  } finally {
    if (docker.started && (await stopDocker({ purge: false })))
      say('stopped the Docker daemon that the tests had started');
  }
  const result = readResult(resultFile);
  rmSync(scratch, { recursive: true, force: true });
  if (!result) {
    process.stdout.write('the test run did not finish\n0 passed, 1 failed, 0 skipped\n');
    return code || 1;
  }
  const { passed, failed, skipped, errors } = result;
  if (passed + failed === 0) process.stdout.write('no test ran\n');
  process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`);
  return code !== 0 || failed > 0 || errors > 0 || passed === 0 ? code || 1 : 0;
});

function readResult(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}
