import type { TenantPhase } from '@berth/shared/protocol/report';

/** `0.4 s`, `12 s`, `3 min`, `5 h`, `2 d`. */
export function duration(ms: number): string {
  if (ms < 9_950) return `${(Math.max(0, ms) / 1000).toFixed(1)} s`;
  if (ms < 120_000) return `${Math.round(ms / 1000)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${Math.round(ms / 3_600_000)} h`;
  return `${Math.round(ms / 86_400_000)} d`;
}

/** `5 min ago`; `never` for null. */
export function ago(at: number | null, now: number): string {
  if (at === null) return 'never';
  return `${duration(now - at)} ago`;
}

/** `2026-11-20 06:30:12`, UTC. */
export function timestamp(at: number): string {
  return new Date(at).toISOString().slice(0, 19).replace('T', ' ');
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
