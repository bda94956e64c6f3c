import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withLock } from './lock.mjs';
import { say, Sentence } from './log.mjs';
import { root } from './paths.mjs';
import { run } from './run.mjs';

/** Ceph's object gateway: it checks signatures and checksums as S3 does, and lists, aborts and completes uploads. */
const PACKAGES = ['radosgw', 'ceph-mon', 'ceph-osd', 'ceph-common', 'libc-bin'];
/** The first release of Debian whose gateway knows SHA-256 of parts. */
const SUITE = 'forky';
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

const tree = join(root, '.berth', 'tools', 's3-server');

/**
 * A directory to `chroot` into that holds an S3 server, out of Debian's packages. Nothing is installed on this system: the
 * packages of a newer release are fetched with apt lists of their own, checked against Debian's keys, and unpacked.
 * @returns {Promise<string>} its path
 */
export async function ensureS3Server() {
  if (existsSync(tree)) return tree;
  await withLock(`${tree}.lock`, async () => {
    if (existsSync(tree)) return;
    if (!existsSync(KEYRING))
      throw new Sentence(`the tests of backups fetch an S3 server from Debian, and ${KEYRING} is not there.`);
    say('fetching an S3 server (Ceph, some 200 MB) for the tests of backups');
    const scratch = mkdtempSync(join(tmpdir(), 'berth-s3-'));
    const made = `${tree}.new`;
    try {
      rmSync(made, { recursive: true, force: true });
      await unpackAll(await download(scratch), made);
      renameSync(made, tree);
    } finally {
      rmSync(scratch, { recursive: true, force: true });
      rmSync(made, { recursive: true, force: true });
    }
  });
  return tree;
}

/** Apt with a world of its own, in which nothing is installed yet; the paths of what it fetched. */
async function download(scratch) {
  for (const dir of ['lists/partial', 'archives/partial', 'etc'])
    mkdirSync(join(scratch, dir), { recursive: true });
  writeFileSync(join(scratch, 'status'), '');
  writeFileSync(
    join(scratch, 'sources.list'),
    `deb [signed-by=${KEYRING}] ${await mirror()} ${SUITE} main\n`,
  );
  const options = Object.entries({
    'Dir::State::lists': join(scratch, 'lists'),
    'Dir::State::status': join(scratch, 'status'),
    'Dir::Cache': scratch,
    'Dir::Cache::archives': join(scratch, 'archives'),
    'Dir::Etc::sourcelist': join(scratch, 'sources.list'),
    'Dir::Etc::sourceparts': join(scratch, 'etc'),
    'Dir::Etc::preferencesparts': join(scratch, 'etc'),
    'Debug::NoLocking': 'true',
    'APT::Sandbox::User': 'root',
    'APT::Install-Recommends': 'false',
  }).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  await run('apt-get', [...options, 'update', '-q'], { what: 'reading the list of Debian packages' });
  await run('apt-get', [...options, 'install', '-y', '-q', '--download-only', ...PACKAGES], {
    what: 'fetching an S3 server',
  });
  const archives = join(scratch, 'archives');
  return readdirSync(archives)
    .filter((name) => name.endsWith('.deb'))
    .map((name) => join(archives, name));
}

/** Where this system gets Debian's packages from. */
async function mirror() {
  const { stdout } = await run('apt-get', ['indextargets', '--format', '$(SITE) $(ORIGIN) $(SUITE)'], {
    what: 'asking apt for its sources',
  });
  const found = stdout.split('\n').find((line) => / Debian /.test(line) && !/security|updates/.test(line));
  const site = found?.split(' ')[0];
  if (!site)
    throw new Sentence('the tests of backups need an S3 server out of Debian, and apt knows no Debian.');
  return site;
}

async function unpackAll(files, target) {
  mkdirSync(join(target, 'usr'), { recursive: true });
  // Since its merge everything lies below /usr, and packages count on these.
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
    mkdirSync(join(target, 'usr', name), { recursive: true });
    symlinkSync(`usr/${name}`, join(target, name));
  }
  for (const name of ['etc', 'proc', 'dev', 'tmp', 'run', 'var'])
    mkdirSync(join(target, name), { recursive: true });
  for (const file of files) await run('dpkg-deb', ['-x', file, target], { what: `unpacking ${file}` });
  // All that it needs of a system besides: no /proc, nothing mounted.
  for (const [name, minor] of Object.entries({ null: 3, zero: 5, random: 8, urandom: 9 }))
    await run('mknod', ['-m', '666', join(target, 'dev', name), 'c', '1', String(minor)]);
  await run('chroot', [target, '/sbin/ldconfig'], { what: 'linking the libraries of the S3 server' });
}
