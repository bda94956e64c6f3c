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
