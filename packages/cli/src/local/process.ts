import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';

/**
 * One process, told apart from a later one with the same pid by its start time and the machine's boot. `command` is
 * kept for people and as a further check.
 */
export const ProcessIdentity = z.object({
  pid: z.int().min(2),
  startTicks: z.string(),
  boot: z.string(),
  command: z.array(z.string()),
});
export type ProcessIdentity = z.infer<typeof ProcessIdentity>;

/** Who runs under a pid now; undefined when nobody does (a zombie is nobody). */
export function identify(pid: number): ProcessIdentity | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold blanks and parentheses; what follows the last one is fixed.
    const rest = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const startTicks = rest[19];
    if (startTicks === undefined || rest[0] === 'Z' || rest[0] === 'X') return undefined;
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      .split('\0')
      .filter((word) => word !== '');
    return { pid, startTicks, boot, command };
  } catch {
    return undefined;
  }
}

/** Whether the very same process still runs. */
export function isRunning(process: ProcessIdentity): boolean {
  const now = identify(process.pid);
  return now !== undefined && now.startTicks === process.startTicks && now.boot === process.boot;
}

export function recordProcess(file: string, pid: number): void {
  const identity = identify(pid);
  if (identity !== undefined) writeFileSync(file, `${JSON.stringify(identity)}\n`, { mode: 0o600 });
}

/** The recorded process, if that same one still runs. */
export function recordedProcess(file: string): ProcessIdentity | undefined {
  if (!existsSync(file)) return undefined;
  try {
    const recorded = ProcessIdentity.parse(JSON.parse(readFileSync(file, 'utf8')));
    return isRunning(recorded) ? recorded : undefined;
  } catch {
    return undefined;
  }
}

export function forgetProcess(file: string): void {
  rmSync(file, { force: true });
}

/**
 * Asks a process to end and waits; after `graceMs` it is killed. Checked against its start time before each signal, so
 * a recycled pid is never hit.
 */
export async function endProcess(
  identity: ProcessIdentity,
  graceMs: number,
): Promise<'stopped' | 'killed' | 'gone' | 'stuck'> {
  if (!isRunning(identity)) return 'gone';
  send(identity, 'SIGTERM');
  if (await gone(identity, graceMs)) return 'stopped';
  send(identity, 'SIGKILL');
  return (await gone(identity, 5000)) ? 'killed' : 'stuck';
}

function send(identity: ProcessIdentity, signal: NodeJS.Signals): void {
  if (!isRunning(identity)) return;
  try {
    process.kill(identity.pid, signal);
  } catch {
    // It ended in between, or is not ours to signal; the wait below tells which.
  }
}

async function gone(identity: ProcessIdentity, withinMs: number): Promise<boolean> {
  for (let waited = 0; waited <= withinMs; waited += 50) {
    if (!isRunning(identity)) return true;
    await sleep(50);
  }
  return !isRunning(identity);
}
