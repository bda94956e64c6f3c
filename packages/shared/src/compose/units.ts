const DURATION_UNITS: Readonly<Record<string, number>> = {
  us: 0.001,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Longest duration that is accepted: a week. */
const LONGEST_MS = 7 * 24 * 3_600_000;

/** A Compose duration (`10s`, `1m30s`, `500ms`, `0`) in whole milliseconds; undefined when it is not one. */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  if (!/^([0-9]+(\.[0-9]+)?(us|ms|s|m|h))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, number, unit] of text.matchAll(/([0-9]+(?:\.[0-9]+)?)(us|ms|s|m|h)/g)) {
    total += Number(number) * (DURATION_UNITS[unit ?? ''] ?? 0);
  }
  const ms = Math.round(total);
  return ms <= LONGEST_MS ? ms : undefined;
}

const SIZE_POWERS: Readonly<Record<string, number>> = { '': 0, k: 1, m: 2, g: 3, t: 4 };

/** A Compose size (`512m`, `1.5gb`, `64M`, `1048576`) in bytes, in powers of 1024; undefined when it is not one. */
export function parseSize(text: string): number | undefined {
  const match = /^([0-9]+(?:\.[0-9]+)?) ?([kmgt]?)(?:i?b)?$/i.exec(text);
  if (match === null) return undefined;
  const power = SIZE_POWERS[(match[2] ?? '').toLowerCase()] ?? 0;
  const bytes = Math.floor(Number(match[1]) * 1024 ** power);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** `536870912` -> `512 MiB`, for messages. */
export function showSize(bytes: number): string {
  if (bytes % 1024 ** 3 === 0) return `${bytes / 1024 ** 3} GiB`;
  if (bytes >= 1024 ** 2) return `${Math.round((bytes / 1024 ** 2) * 10) / 10} MiB`;
  return `${bytes} bytes`;
}
