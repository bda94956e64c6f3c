import { spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { bridgeName, ensureBridge, removeBridge } from './bridge.mjs';
import { answers } from './docker-api.mjs';
import { withLock } from './lock.mjs';
import { say, Sentence } from './log.mjs';
import { home, instance } from './paths.mjs';
import { end, identify, isSame } from './process.mjs';
import { run, which } from './run.mjs';

/** What a daemon of our own keeps on disk, and the record of it that `npm stop` goes by. */
const dataDir = join(home, 'docker');
const record = join(dataDir, 'daemon.json');
const log = join(dataDir, 'dockerd.log');
/** Sockets live in /run: a clone's path may be longer than the 107 bytes a unix socket's name may have. */
const runDir = `/run/berth-${instance}`;
const ownSocket = join(runDir, 'docker.sock');

/**
 * A Docker daemon that answers: DOCKER_HOST, the one we started before, the system's, or a new one of our own.
 * @returns {Promise<{dockerHost: string, socketPath: string, started: boolean, fresh?: boolean}>} `started` says we
 *   started it just now, `fresh` that it had no data yet
 */
export async function ensureDocker() {
  const named = process.env.DOCKER_HOST;
  if (named) {
    if (!named.startsWith('unix://')) {
      throw new Sentence(
        `DOCKER_HOST is ${named}; Berth's agent must be on the daemon's own host. Use unix:///path/to/docker.sock.`,
      );
    }
    const socketPath = named.slice('unix://'.length);
    if (await answers(socketPath)) return { dockerHost: named, socketPath, started: false };
    say(`no Docker daemon answers at DOCKER_HOST (${named})`);
  }
  if (existsSync(record)) return startOwn();
  const system = '/var/run/docker.sock';
  if (await answers(system)) return { dockerHost: `unix://${system}`, socketPath: system, started: false };
  return startOwn();
}

/** The daemon of our own that an earlier run started, running again if it has died; undefined when there is none. */
export async function ensureOwnDocker() {
  return existsSync(record) ? startOwn() : undefined;
}

/** Starts a daemon of our own, or finds the one that runs. */
export async function startOwn() {
  return withLock(`${dataDir}.lock`, async () => {
    const result = { dockerHost: `unix://${ownSocket}`, socketPath: ownSocket };
    const before = readRecord();
    if (before && isSame(before.process) && (await answersWithin(ownSocket, 30_000)))
      return { ...result, started: false };
    say('starting a Docker daemon of our own, because none answers');
    const fresh = !existsSync(join(dataDir, 'data'));
    mkdirSync(dataDir, { recursive: true });
    mkdirSync(runDir, { recursive: true, mode: 0o711 });
    if (before) await end(before.process, 15_000);
    forgetDeadContainerd();
    rmSync(join(runDir, 'dockerd.pid'), { force: true });
    const bridge = bridgeName(instance);
    const address = await ensureBridge(bridge, before?.bridge?.address);
    const argv = [
      '--data-root', join(dataDir, 'data'),
      '--exec-root', join(runDir, 'exec'),
      '--pidfile', join(runDir, 'dockerd.pid'),
      '--host', result.dockerHost,
      '--bridge', bridge,
    ]; // prettier-ignore
    const child = launch(argv);
    const found = identify(child.pid);
    if (!found) throw new Sentence(`dockerd ended at once; its log says:\n${logTail()}`);
    const daemon = {
      process: found,
      ...result,
      dataRoot: join(dataDir, 'data'),
      runDir,
      log,
      bridge: { name: bridge, address },
    };
    writeRecord(daemon);
    if (!(await answersWithin(ownSocket, 60_000, () => identify(child.pid) !== undefined))) {
      await end(found, 5000);
      throw new Sentence(`dockerd did not come up; its log (${log}) ends with:\n${logTail()}`);
    }
    say(`Docker answers at ${result.dockerHost}`);
    return { ...result, started: true, fresh };
  });
}

/**
 * dockerd waits 15 s in vain for the containerd its pid file names when that one was killed and is a zombie, or when
 * the pid is somebody else's by now.
 */
function forgetDeadContainerd() {
  const file = join(runDir, 'exec', 'containerd', 'containerd.pid');
  if (!existsSync(file)) return;
  const found = identify(Number(readFileSync(file, 'utf8').trim()));
  if (!found?.argv.some((word) => word.startsWith(`${runDir}/`))) rmSync(file, { force: true });
}

/** In a session of its own: Ctrl-C and the end of our terminal do not reach it. */
function launch(argv) {
  const dockerd = which('dockerd');
  if (!dockerd) throw new Sentence('there is no dockerd; install docker.io and try again.');
  const output = openSync(log, 'a');
  const environment = { ...process.env };
  delete environment.DOCKER_HOST;
  const child = spawn(dockerd, argv, {
    detached: true,
    stdio: ['ignore', output, output],
    env: environment,
    cwd: '/',
  });
  child.on('error', () => {});
  child.unref();
  closeSync(output);
  if (child.pid === undefined) throw new Sentence(`${dockerd} could not be started.`);
  return child;
}

/**
 * Stops the daemon we started, if we did, by its recorded pid and start time.
 * @param {{purge: boolean}} options purge also removes its data, its bridge and its runtime directory
 * @returns {Promise<boolean>} whether there was one
 */
export async function stopDocker({ purge }) {
  const before = readRecord();
  if (!before) {
    // What a test's daemon has left for the next test.
    if (purge) rmSync(dataDir, { recursive: true, force: true });
    return false;
  }
  await end(before.process, 30_000);
  await endStray(before.runDir);
  await unmountUnder([before.dataRoot, before.runDir]);
  rmSync(before.runDir, { recursive: true, force: true });
  await removeBridge(before.bridge.name);
  if (purge) rmSync(dataDir, { recursive: true, force: true });
  else rmSync(record, { force: true });
  return true;
}

/** A dockerd that was killed leaves its containerd behind; it is ours when our runtime directory is in its arguments. */
async function endStray(dir) {
  const needle = `${dir}/`;
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const found = identify(Number(entry));
    if (
      found &&
      /(^|\/)containerd$/.test(found.argv[0] ?? '') &&
      found.argv.some((word) => word.startsWith(needle))
    ) {
      await end(found, 5000);
    }
  }
}

async function unmountUnder(dirs) {
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) =>
      line.split(' ')[1]?.replace(/\\(\d{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8))),
    )
    .filter((path) => path && dirs.some((dir) => path === dir || path.startsWith(`${dir}/`)));
  for (const path of mounts.reverse()) await run('umount', ['-l', path], { allowFailure: true });
}

async function answersWithin(socket, ms, alive = () => true) {
  const until = Date.now() + ms;
  while (Date.now() < until) {
    if (await answers(socket)) return true;
    if (!alive()) return false;
    await sleep(100);
  }
  return false;
}

function readRecord() {
  try {
    return JSON.parse(readFileSync(record, 'utf8'));
  } catch {
    return undefined;
  }
}

function writeRecord(value) {
  mkdirSync(dirname(record), { recursive: true });
  writeFileSync(`${record}.new`, `${JSON.stringify(value, null, 2)}\n`);
  renameSync(`${record}.new`, record);
}

function logTail() {
  try {
    return readFileSync(log, 'utf8').trim().split('\n').slice(-15).join('\n');
  } catch {
    return '(no log)';
  }
}
