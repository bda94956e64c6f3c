import { readFileSync } from 'node:fs';
import type { Bench } from './bench.ts';

/** Counts how often an Nginx was reloaded: each reload makes new workers, whoever asked for it. */
export interface ReloadCounter {
  count(): number;
}

export function countReloads(bench: Bench, master: number): ReloadCounter {
  const workers = (): number[] =>
    readFileSync(`/proc/${master}/task/${master}/children`, 'utf8').trim().split(/\s+/).map(Number);
  const known = new Set(workers());
  let reloads = 0;
  const look = (): void => {
    const fresh = workers().filter((pid) => !known.has(pid));
    for (const pid of fresh) known.add(pid);
    if (fresh.length > 0) reloads += 1;
  };
  // Twice as often as two reloads can follow each other: a reload waits until the one before was taken up.
  const timer = setInterval(look, 10);
  bench.defer('reload counter', () => clearInterval(timer));
  return {
    count() {
      look();
      return reloads;
    },
  };
}
