import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { install, unpack } from './apt.mjs';
import { say, Sentence } from './log.mjs';
import { root } from './paths.mjs';
import { run, which } from './run.mjs';

/** A part is there when its `found` says so; `packages` are Debian's and Ubuntu's names, all of which are installed. */
const program = (name, ...packages) => ({ name, packages, found: () => which(name) !== undefined });

const RUN_PARTS = [
  program('dockerd', 'docker.io'),
  program('iptables', 'iptables'),
  program('nginx', 'nginx'),
  program('nft', 'nftables'),
  program('conntrack', 'conntrack'),
  program('ip', 'iproute2'),
  program('zstd', 'zstd'),
  { name: 'pg_dump', packages: ['postgresql-client'], found: () => postgresClient() },
];

/** A real registry, and load. */
const POSTGRES = {
  name: 'PostgreSQL',
  packages: ['postgresql'],
  found: () => postgresBinaries() !== undefined,
};
const BENCH_PARTS = [program('docker-registry', 'docker-registry'), program('wrk', 'wrk'), POSTGRES];

const TEST_PARTS = [
  ...BENCH_PARTS,
  program('busybox', 'busybox-static'),
  program('curl', 'curl'),
  program('systemd-analyze', 'systemd'),
];

const SETS = {
  run: RUN_PARTS,
  test: [...RUN_PARTS, ...TEST_PARTS],
  bench: [...RUN_PARTS, ...BENCH_PARTS],
};

/**
 * Makes sure the distribution's parts are there, and installs only what is missing. Needs root when something is.
 * @param {'run' | 'test' | 'bench'} set
 */
export async function ensureSystem(set) {
  const missing = SETS[set].filter((part) => !part.found());
  if (missing.length === 0) return;
  const packages = [...new Set(missing.flatMap((part) => part.packages))];
  const names = missing.map((part) => part.name).join(', ');
  if (!which('apt-get')) {
    throw new Sentence(
      `missing: ${names}. There is no apt-get here; install them with this system's package manager.`,
    );
  }
  say(`missing: ${names}; installing from the distribution: ${packages.join(' ')}`);
  await install(packages);
  const still = missing.filter((part) => !part.found()).map((part) => part.name);
  if (still.length > 0)
    throw new Sentence(`apt-get finished, but these are still missing: ${still.join(', ')}.`);
}

/** Directory of initdb, postgres and pg_ctl, newest version first; Debian does not put it into the PATH. */
export function postgresBinaries() {
  const base = '/usr/lib/postgresql';
  if (!existsSync(base)) return which('initdb') ? join(which('initdb'), '..') : undefined;
  const versions = readdirSync(base).sort((a, b) => Number(b) - Number(a));
  return versions.map((version) => join(base, version, 'bin')).find((dir) => existsSync(join(dir, 'initdb')));
}

/** Whether backups find a pg_dump: Debian keeps one per version. */
function postgresClient() {
  const base = '/usr/lib/postgresql';
  if (existsSync(base) && readdirSync(base).some((name) => existsSync(join(base, name, 'bin', 'pg_dump'))))
    return true;
  return which('pg_dump') !== undefined;
}

/**
 * A busybox that needs no library, for small images. Where the distribution's other busybox is installed (the two
 * exclude each other), a copy below .berth/tools; the system's stays as it is.
 * @returns {Promise<string>} its path
 */
export async function staticBusybox() {
  const tools = join(root, '.berth', 'tools');
  const places = [which('busybox'), join(tools, 'bin', 'busybox'), join(tools, 'usr', 'bin', 'busybox')];
  for (const place of places) if (place && existsSync(place) && (await isStatic(place))) return place;
  say('this busybox needs shared libraries: unpacking busybox-static into .berth/tools');
  await unpack('busybox-static', tools);
  const found = places.slice(1).find((place) => existsSync(place));
  if (!found) throw new Sentence('busybox-static holds no busybox where it is expected; see .berth/tools.');
  return found;
}

async function isStatic(file) {
  return (await run('ldd', [file], { allowFailure: true })).code !== 0;
}
