import { execFile } from 'node:child_process';
import { createReadStream, existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { fileOf } from './tar.mjs';

/**
 * The files of a base image made from this machine: a Node binary, the shared libraries it needs, and the few files a
 * Linux program expects. Nothing comes from a registry.
 * @param {string} nodeBin
 * @returns {Promise<import('./tar.mjs').Entry[]>} sorted, directories before their content
 */
export async function baseEntries(nodeBin) {
  const libraries = await librariesOf(nodeBin);
  const files = [
    onDisk('usr/local/bin/node', nodeBin, 0o755),
    ...libraries.map((path) => onDisk(path.slice(1), path, 0o755)),
    fileOf('etc/passwd', 'root:x:0:0:root:/root:/sbin/nologin\nshop:x:10001:10001:shop:/app:/sbin/nologin\n'),
    fileOf('etc/group', 'root:x:0:\nshop:x:10001:\n'),
    fileOf('etc/nsswitch.conf', 'hosts: files dns\n'),
  ];
  const plain = ['dev', 'proc', 'run', 'sys', 'root', 'app', ...files.flatMap((file) => parents(file.path))];
  const directories = [...new Set(plain)].map((path) => ({ path, type: 'directory', mode: 0o755 }));
  const sorted = [...directories, ...files].sort((a, b) => (a.path < b.path ? -1 : 1));
  return [...sorted, { path: 'tmp', type: 'directory', mode: 0o1777 }];
}

/** What decides the base image's content, without reading 100 MB: paths, sizes and times. */
export function baseKey(entries) {
  return entries.map(({ path, size, stamp }) => [path, size ?? 0, stamp ?? '']);
}

function onDisk(path, source, mode) {
  const { size, mtimeMs } = statSync(source);
  return {
    path,
    type: 'file',
    mode,
    size,
    stamp: mtimeMs,
    read: () => createReadStream(source, { highWaterMark: 1 << 20 }),
  };
}

function parents(path) {
  const parent = dirname(path);
  return parent === '.' ? [] : [...parents(parent), parent];
}

async function librariesOf(nodeBin) {
  const { stdout } = await promisify(execFile)('ldd', [nodeBin], { env: { ...process.env, LC_ALL: 'C' } });
  const paths = stdout
    .split('\n')
    .map((line) => line.match(/(\/\S+) \(0x[0-9a-f]+\)/)?.[1])
    .filter((path) => path !== undefined && existsSync(path));
  const libc = paths.find((path) => /\/libc\.so/.test(path));
  // Loaded by name when a program looks up a host: ldd does not see them.
  const lookups = libc
    ? readdirSync(dirname(libc)).filter((name) => /^lib(nss_dns|nss_files|resolv)\.so\.\d+$/.test(name))
    : [];
  return [...new Set([...paths, ...lookups.map((name) => join(dirname(libc), name))])];
}
