/**
 * What hosts say goes into one transaction with what others say, so nothing that one of them sends may be more than a
 * column takes: its whole batch would fail, again and again, and with it everybody's reports.
 */

/** The most that a Date holds, which is also a whole number in both databases. */
const FURTHEST = 8_640_000_000_000_000;
/** How far a host's clock may be ahead of ours before its events are dated by ours. */
const AHEAD_MS = 86_400_000;

/** Without NUL, which PostgreSQL does not take. */
export function toldText(text: string): string {
  return text.includes('\0') ? text.replaceAll('\0', '\ufffd') : text;
}

/** A count or a time, as a whole number that is not endless. */
export function toldNumber(given: number): number {
  return Math.round(Math.min(Math.max(given, -FURTHEST), FURTHEST));
}

/** When something happened, as a host says that was heard at `heardAt`. Both are milliseconds since 1970. */
export function toldTime(at: number, heardAt: number): number {
  return Math.min(Math.max(toldNumber(at), 0), heardAt + AHEAD_MS);
}

/** Deeper than anything that an agent tells, and far from where writing it as JSON runs out of stack. */
const DEEPEST = 32;

/** An event's details; those that are nested without end are left out. */
export function toldDetails(details: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return isNoDeeperThan(details, DEEPEST) ? details : {};
}

function isNoDeeperThan(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return levels > 0 && Object.values(value).every((each) => isNoDeeperThan(each, levels - 1));
}
