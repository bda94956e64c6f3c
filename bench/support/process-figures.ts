import { readFileSync } from 'node:fs';

export interface Figures {
  rssMb: number;
  privateMb: number;
  /** Processor time of the process and of the programs it ran and that have ended. */
  cpuSeconds: number;
}

const TICKS_PER_SECOND = 100;

/** What the kernel says of one process. Throws when it has ended. */
export function figuresOf(pid: number): Figures {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const kb = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1] ?? 0);
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // Behind the name, which may hold blanks: state is field 3, utime, stime, cutime, cstime are 14 to 17.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = fields.slice(11, 15).reduce((sum, each) => sum + Number(each), 0);
  return {
    rssMb: kb('Rss') / 1024,
    privateMb: (kb('Private_Clean') + kb('Private_Dirty')) / 1024,
    cpuSeconds: ticks / TICKS_PER_SECOND,
  };
}

/** Processor time of the process itself so far, its threads included. */
export function cpuMsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_SECOND;
}

/** The most memory that it ever had resident. */
export function peakMbOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) / 1024;
}

/** How often Node's monitor looks, which it counts into each delay. */
const LOOK_MS = 10;

/**
 * The 99th percentile of how much later than asked for the coordinator's event loop came round since this was read last,
 * by its own metrics. Reading begins anew.
 */
export async function loopDelayP99Ms(url: string): Promise<number> {
  const response = await fetch(`${url}/metrics`);
  const value = /^nodejs_eventloop_lag_p99_seconds (\S+)$/m.exec(await response.text())?.[1];
  if (value === undefined) throw new Error('the coordinator does not tell how late its event loop is');
  return Math.max(0, Number(value) * 1000 - LOOK_MS);
}
