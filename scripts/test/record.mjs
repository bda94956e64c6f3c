import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Programs of the system whose change could change an outcome. */
const PROGRAMS = ['nginx', 'dockerd', 'docker', 'nft', 'conntrack', 'containerd', 'runc', 'docker-registry'];

/**
 * Names all that the tests depend on: every file of the tree except documentation, and the programs they use. Undefined
 * where that cannot be told (no Git, a file that cannot be read): then nothing is remembered.
 */
export function testKey(root) {
  try {
    const hash = createHash('sha256');
    const listed = execFileSync(
      'git',
      ['-c', 'safe.directory=*', '-C', root, 'ls-files', '-co', '--exclude-standard', '-z'],
      {
        encoding: 'utf8',
        maxBuffer: 64 * 1024 * 1024,
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    );
    const files = listed.split('\0').filter((file) => file !== '' && !file.endsWith('.md'));
    for (const file of [...new Set(files)].sort((a, b) => (a < b ? -1 : 1))) {
      const content = readFileSync(join(root, file));
      hash.update(`${file}\0${content.length}\0`).update(content);
    }
    for (const program of PROGRAMS) hash.update(`${program} ${versionOf(program)}\n`);
    return hash.update(process.version).digest('hex');
  } catch {
    return undefined;
  }
}

/** Size and time of the file, which an upgrade changes. */
function versionOf(program) {
  for (const folder of ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin']) {
    const found = statSync(join(folder, program), { throwIfNoEntry: false });
    if (found) return `${folder} ${found.size} ${Math.floor(found.mtimeMs)}`;
  }
  return 'absent';
}

/** @returns {{ key: string, line: string, at: string, seconds: number } | undefined} the last run in which all passed */
export function readRecord(home) {
  try {
    const record = JSON.parse(readFileSync(fileIn(home), 'utf8'));
    return typeof record.key === 'string' && typeof record.line === 'string' ? record : undefined;
  } catch {
    return undefined;
  }
}

export function writeRecord(home, record) {
  mkdirSync(dirname(fileIn(home)), { recursive: true });
  writeFileSync(fileIn(home), `${JSON.stringify(record)}\n`);
}

const fileIn = (home) => join(home, 'test-record.json');
