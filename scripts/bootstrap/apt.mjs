import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { say } from './log.mjs';
import { identify, isSame } from './process.mjs';
import { run, which } from './run.mjs';

const POLICY = '/usr/sbin/policy-rc.d';
const MARK = '# berth-bootstrap';

/** Services these packages bring. Berth runs instances of its own and needs none of them. */
const SERVICES = {
  nginx: ['nginx.service'],
  'docker-registry': ['docker-registry.service'],
  postgresql: ['postgresql.service'],
  'docker.io': ['docker.service', 'docker.socket', 'containerd.service'],
};

/**
 * Installs packages without letting their services start, and without removing anything.
 * Refreshes apt's lists only when there are none or when they turn out to be stale.
 */
export async function install(packages) {
  const fresh = packages.filter((name) => name in SERVICES);
  const release = holdServices();
  const stop = (signal) => {
    release();
    process.exit(signal === 'SIGINT' ? 130 : 143);
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  try {
    if (!hasLists()) await update();
    const first = await aptInstall(packages, true);
    if (first.code !== 0) {
      say('apt could not install them from its present lists');
      await update();
      await aptInstall(packages, false);
    }
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
    release();
  }
  await disableServices(fresh.flatMap((name) => SERVICES[name]));
}

/** Unpacks a package into a directory without installing it: for one that would push another package out. */
export async function unpack(name, target) {
  if (!hasLists()) await update();
  const scratch = mkdtempSync(join(tmpdir(), 'berth-apt-'));
  try {
    await run('apt-get', ['download', '-q', name], { cwd: scratch, what: `downloading ${name}` });
    const file = readdirSync(scratch).find((entry) => entry.endsWith('.deb'));
    mkdirSync(target, { recursive: true });
    await run('dpkg-deb', ['-x', join(scratch, file), target], { what: `unpacking ${name}` });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function hasLists() {
  try {
    return readdirSync('/var/lib/apt/lists').some(
      (name) => name.includes('_Packages') || name.includes('InRelease'),
    );
  } catch {
    return false;
  }
}

async function update() {
  say('refreshing the package lists');
  await run('apt-get', ['update', '-q', '-o', 'DPkg::Lock::Timeout=120'], { what: 'apt-get update' });
}

async function aptInstall(packages, allowFailure) {
  const args = [
    'install',
    '-y',
    '-q',
    '--no-install-recommends',
    '--no-remove',
    '-o',
    'DPkg::Lock::Timeout=120',
    '-o',
    'Dpkg::Options::=--force-confold',
    ...packages,
  ];
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', NEEDRESTART_MODE: 'l', LC_ALL: 'C.UTF-8' };
  return run('apt-get', args, { env, allowFailure, what: `installing ${packages.join(' ')}` });
}

/**
 * Debian asks /usr/sbin/policy-rc.d before a package starts its service. Puts one there that says no, and returns the
 * function that takes it away. One that somebody else put there stays, and decides.
 */
function holdServices() {
  if (existsSync(POLICY) && !isOurLeftover()) return () => {};
  const self = JSON.stringify(identify(process.pid));
  writeFileSync(POLICY, `#!/bin/sh\n${MARK} ${self}\nexit 101\n`);
  chmodSync(POLICY, 0o755);
  return () => rmSync(POLICY, { force: true });
}

/** One that a run of ours left behind when it was killed. */
function isOurLeftover() {
  const line = readFileSync(POLICY, 'utf8')
    .split('\n')
    .find((text) => text.startsWith(MARK));
  if (!line) return false;
  try {
    return !isSame(JSON.parse(line.slice(MARK.length)));
  } catch {
    return true;
  }
}

/** A package that was just installed would start its service at the next boot (Nginx on port 80). */
async function disableServices(units) {
  if (units.length === 0 || !existsSync('/run/systemd/system') || !which('systemctl')) return;
  const done = [];
  for (const unit of units) {
    const result = await run('systemctl', ['disable', '--quiet', unit], { allowFailure: true });
    if (result.code === 0) done.push(unit);
    const active = await run('systemctl', ['is-active', '--quiet', unit], { allowFailure: true });
    if (active.code === 0) say(`note: installing it started ${unit}; stop it with: systemctl stop ${unit}`);
  }
  if (done.length > 0) say(`disabled at boot, because Berth runs its own: ${done.join(' ')}`);
}
