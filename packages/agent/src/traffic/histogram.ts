import { LATENCY_BOUNDS_MS } from '@berth/shared/domain/traffic';

/** The bucket of every whole number of milliseconds up to the last bound; a look-up costs less than a search. */
const BUCKETS = (() => {
  const last = LATENCY_BOUNDS_MS.at(-1) ?? 0;
  const table = new Uint8Array(last + 1);
  let bucket = 0;
  for (let ms = 0; ms <= last; ms += 1) {
    if (ms > (LATENCY_BOUNDS_MS[bucket] ?? last)) bucket += 1;
    table[ms] = bucket;
  }
  return table;
})();

/** Index into a histogram's buckets for a time in whole milliseconds. */
export function bucketOf(ms: number): number {
  return BUCKETS[ms] ?? LATENCY_BOUNDS_MS.length;
}
