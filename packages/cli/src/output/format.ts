import type { TenantPhase } from '@berth/shared/protocol/report';

/** `0.4 s`, `12 s`, `3 min`, `5 h`, `2 d`. */
export function duration(ms: number): string {
  if (ms < 9_950) return `${(Math.max(0, ms) / 1000).toFixed(1)} s`;
  if (ms < 120_000) return `${Math.round(ms / 1000)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${Math.round(ms / 3_600_000)} h`;
  return `${Math.round(ms / 86_400_000)} d`;
}

/** A time that was set, whole: `500 ms`, `65 s`, `2 min`, `2 min 5 s`, `1 h 30 min`, `7 d`. */
export function exactDuration(ms: number): string {
  if (ms < 1000) return ms === 0 ? '0 s' : `${ms} ms`;
  if (ms < 120_000) return `${ms / 1000} s`;
  const parts: string[] = [];
  let left = ms;
  for (const [size, unit] of UNITS) {
    const whole = unit === 's' ? left / size : Math.floor(left / size);
    if (whole > 0) parts.push(`${whole} ${unit}`);
    left -= whole * size;
  }
  return parts.join(' ');
}

const UNITS = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1000, 's'],
] as const;

/** `5 min ago`; `never` for null. */
export function ago(at: number | null, now: number): string {
  if (at === null) return 'never';
  return `${duration(now - at)} ago`;
}

/** `2026-11-20 06:30:12`, UTC. */
export function timestamp(at: number): string {
  return new Date(at).toISOString().slice(0, 19).replace('T', ' ');
}

/** `2026-11-20 06:30`, UTC: what lies days ahead needs no seconds. */
export function minute(at: number): string {
  return timestamp(at).slice(0, 16);
}

/** `256 MiB`, `1.5 GiB`. */
export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value >= 10 || Number.isInteger(value) ? Math.round(value) : value.toFixed(1)} ${units[unit] ?? 'B'}`;
}

/** A size that was set, whole: `384 MiB`, `1.5 GiB`, else `1000001 B`. */
export function exactBytes(count: number): string {
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  for (let power = units.length; power > 0; power -= 1) {
    const size = 1024 ** power;
    const value = count / size;
    // Halves are how such sizes are written, too.
    if (value >= 1 && Number.isInteger(value * 2)) return `${value} ${units[power - 1] ?? ''}`;
  }
  return `${count} B`;
}

/** `sha256:` and the first twelve characters, which is how people know an image's digest. */
export function shortDigests(text: string): string {
  return text.replaceAll(/@sha256:([0-9a-f]{12})[0-9a-f]{52}/g, '@sha256:$1…');
}

/** `15m`, `2h`, `7d`, `30s` in milliseconds; undefined when it is none of them. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text);
  if (match === null) return undefined;
  const unit = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }[match[2] ?? ''];
  return unit === undefined ? undefined : Number(match[1]) * unit;
}

/** A phase for a person: one that bakes is live, and only keeps the generation before for a while. */
export function phaseWord(phase: TenantPhase): string {
  return phase === 'baking' ? 'live (baking)' : phase;
}
