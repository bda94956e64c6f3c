import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureDependencies } from './bootstrap/dependencies.mjs';
import { ensureDocker, stopDocker } from './bootstrap/docker.mjs';
import { main, say } from './bootstrap/log.mjs';
import { home, root } from './bootstrap/paths.mjs';
import { prepare } from './bootstrap/prepare.mjs';
import { inForeground } from './bootstrap/process.mjs';
import { runAttached } from './bootstrap/run.mjs';
import { ensureS3Server } from './bootstrap/s3-server.mjs';
import { postgresBinaries, staticBusybox } from './bootstrap/system.mjs';
import { ensureToolchain, nodeBin, toolEnvironment } from './bootstrap/toolchain.mjs';
import { readRecord, testKey, writeRecord } from './test/record.mjs';

const given = process.argv.slice(2);
const args = given.filter((word) => word !== '--all');
// Units need neither root nor Docker nor anything of the system: asked for alone, they get nothing of it.
const unitsOnly =
  args.length > 0 && args.every((word) => /^(\.\/)?packages(\/|$)|^--project=unit$/.test(word));

main(async () => {
  if (args.some((word) => word === '--help' || word === '-h')) {
    say('usage: npm test -- [--all] [files or folders] [options of vitest, such as -t PART_OF_A_NAME]');
    return 0;
  }
  // A whole run that passed is not repeated while nothing that it depends on has changed; CI always runs all.
  const key = args.length === 0 ? testKey(root) : undefined;
  const record = readRecord(home);
  if (given.length === 0 && !process.env.CI && key !== undefined && record?.key === key) {
    say(
      `nothing that the tests depend on has changed since all of them passed on ${record.at}, in ${record.seconds} s`,
    );
    say('run them all the same: npm test -- --all');
    process.stdout.write(`${record.line}\n`);
    return 0;
  }
  const began = Date.now();
  const parts = unitsOnly ? await forUnits() : await forAll();
  if (typeof parts === 'number') return parts;
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
        ...(unitsOnly ? ['--project=unit', ...args.filter((word) => word !== '--project=unit')] : args),
      ],
      {
        cwd: root,
        foreground: inForeground,
        env: toolEnvironment({
          BERTH_HOME: home,
          ...parts.env,
          BERTH_TEST_RESULT: resultFile,
        }),
      },
    );
  } finally {
    if (parts.docker?.started && (await stopDocker({ purge: false })))
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
  const line = `${passed} passed, ${failed} failed, ${skipped} skipped`;
  process.stdout.write(`${line}\n`);
  if (code !== 0 || failed > 0 || errors > 0 || passed === 0) return code || 1;
  // A file that was changed meanwhile was perhaps tested as it was before.
  if (key !== undefined && skipped === 0 && testKey(root) === key)
    writeRecord(home, {
      key,
      line,
      at: new Date().toISOString(),
      seconds: Math.round((Date.now() - began) / 1000),
    });
  return 0;
});

async function forUnits() {
  await ensureToolchain();
  await ensureDependencies();
  return { env: {} };
}

/** @returns the exit code when a second copy under sudo has done it all, else what the tests with real parts need */
async function forAll() {
  const finished = await prepare({ why: 'Testing with real containers', system: 'test' });
  if (finished !== undefined) return finished;
  const busybox = await staticBusybox();
  const s3Server = await s3ServerIfItCanBeHad();
  const docker = await ensureDocker();
  return {
    docker,
    env: {
      DOCKER_HOST: docker.dockerHost,
      BERTH_POSTGRES_BIN: postgresBinaries() ?? '',
      BERTH_BUSYBOX: busybox,
      BERTH_S3_SERVER: s3Server,
    },
  };
}

/** Where it cannot be had only the tests that need it fail, and say so. */
async function s3ServerIfItCanBeHad() {
  try {
    return await ensureS3Server();
  } catch (error) {
    say(`the tests of backups to S3 will fail: ${error.message}`);
    return '';
  }
}

function readResult(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}
