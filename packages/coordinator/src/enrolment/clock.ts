/** How far a host's clock may be from the coordinator's, and both from that of AWS. */
export const MAX_SKEW_MS = 5 * 60_000;

/** Null when the two are near enough; else a sentence that says which clocks, and by how much. */
export function clockFault(hostTime: number, at: number): string | null {
  const apart = hostTime - at;
  if (Math.abs(apart) <= MAX_SKEW_MS) return null;
  return (
    `The clock of the host is ${spanOf(apart)} ${apart < 0 ? 'behind' : 'ahead of'} the coordinator's ` +
    `(host ${utc(hostTime)}, coordinator ${utc(at)}); at most 5 minutes are allowed. Set the one that is wrong, ` +
    'on AWS for example with chrony from 169.254.169.123.'
  );
}

/** About how long, in the largest unit that says something. */
export function spanOf(ms: number): string {
  const minutes = Math.round(Math.abs(ms) / 60_000);
  if (minutes < 120) return `${minutes} minutes`;
  const hours = Math.round(minutes / 60);
  return hours < 72 ? `${hours} hours` : `${Math.round(hours / 24)} days`;
}

export function utc(at: number): string {
  const time = new Date(at);
  return Number.isNaN(time.getTime()) ? 'an impossible time' : time.toISOString().replace(/\.\d+Z$/, 'Z');
}

/** `20261120T120000Z` as milliseconds since 1970; null when it is no such time. */
export function parseAmzDate(text: string): number | null {
  const [, year, month, day, hour, minute, second] =
    /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text) ?? [];
  if (year === undefined) return null;
  const at = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(at) ? null : at;
}
