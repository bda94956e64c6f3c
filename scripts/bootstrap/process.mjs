import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** @returns {{startTicks: string, group: string, terminalGroup: string, state: string} | undefined} from /proc/<pid>/stat */
function stat(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the program's name in brackets and may hold blanks; all others may not.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0], group: fields[2], terminalGroup: fields[5], startTicks: fields[19] };
  } catch {
    return undefined;
  }
}

/** Who a pid is: start time and command line. A recycled pid has another start time. */
export function identify(pid) {
  const found = stat(pid);
  if (!found || found.state === 'Z') return undefined;
  try {
    const argv = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
    return { pid, startTicks: found.startTicks, argv };
  } catch {
    return undefined;
  }
}

/** Whether the process that was recorded still runs, and is that one. */
export function isSame(recorded) {
  const now = identify(recorded.pid);
  return (
    now !== undefined &&
    now.startTicks === recorded.startTicks &&
    now.argv.join('\0') === recorded.argv.join('\0')
  );
}

/** Ends a recorded process: SIGTERM, then SIGKILL after `graceMs`. Never touches a recycled pid. */
export async function end(recorded, graceMs) {
  if (!isSame(recorded)) return 'gone';
  process.kill(recorded.pid, 'SIGTERM');
  const until = Date.now() + graceMs;
  while (Date.now() < until) {
    if (!isSame(recorded)) return 'ended';
    await sleep(50);
  }
  if (isSame(recorded)) process.kill(recorded.pid, 'SIGKILL');
  await sleep(200);
  return 'killed';
}

/** Whether our process group is the terminal's foreground group, which gets Ctrl-C as a whole. */
export function inForeground() {
  const own = stat(process.pid);
  return own !== undefined && own.terminalGroup !== '-1' && own.terminalGroup === own.group;
}
