import { readdir, readFile, readlink } from 'node:fs/promises';

/** Whether a pid is an Nginx master that was started with this prefix directory. */
export async function masterIsOurs(pid: number, prefix: string): Promise<boolean> {
  const title = await commandLine(pid);
  return title.includes('nginx: master process') && title.includes(` -p ${prefix}/`);
}

/**
 * Workers whose master was killed: they go on serving with the old configuration and hold the listening sockets. They
 * are known by the error log of this prefix that they keep open.
 */
export async function orphanedWorkers(prefix: string): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid < 2) continue;
    if (!(await commandLine(pid)).startsWith('nginx: worker process')) continue;
    if (!(await holdsFile(pid, `${prefix}/error.log`))) continue;
    const parent = await parentOf(pid);
    if (parent !== null && (await masterIsOurs(parent, prefix))) continue;
    found.push(pid);
  }
  return found;
}

async function commandLine(pid: number): Promise<string> {
  const raw = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return raw.replaceAll('\0', ' ').trim();
}

/** Whether a process has this file open, by the name it has now. */
export async function holdsFile(pid: number, path: string): Promise<boolean> {
  const handles = await readdir(`/proc/${pid}/fd`).catch(() => []);
  for (const handle of handles) {
    const target = await readlink(`/proc/${pid}/fd/${handle}`).catch(() => '');
    if (target === path) return true;
  }
  return false;
}

async function parentOf(pid: number): Promise<number | null> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const match = /^PPid:\s+(\d+)$/m.exec(status);
  return match?.[1] === undefined ? null : Number(match[1]);
}
