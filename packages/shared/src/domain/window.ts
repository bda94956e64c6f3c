import { z } from 'zod';

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
type Day = (typeof DAYS)[number];

/** When a tenant may be moved: on these days, from a time of day to another, in a time zone. */
export interface Window {
  days: readonly Day[];
  /** Minutes since midnight, local time. `to` before `from` ends on the next day. */
  from: number;
  to: number;
  zone: string;
}

export type WindowParsed = { ok: true; window: Window } | { ok: false; error: string };

/** Reads `Mon-Fri 22:00-04:00 Europe/Berlin`; days may be `daily`, a range, or a list (`Sat,Sun`). */
export function parseWindow(text: string): WindowParsed {
  const [dayWords = '', times = '', zone = '', ...rest] = text.trim().split(/\s+/);
  const example = 'A window looks like "Mon-Fri 22:00-04:00 Europe/Berlin" or "daily 01:00-05:00 UTC".';
  if (zone === '' && times !== '')
    return { ok: false, error: `The window "${text.trim()}" lacks its time zone. ${example}` };
  if (zone === '' || rest.length > 0) return { ok: false, error: example };
  const days = parseDays(dayWords.toLowerCase());
  if (days === null) return { ok: false, error: `"${dayWords}" names no days. ${example}` };
  const match = /^(\d\d):(\d\d)-(\d\d):(\d\d)$/.exec(times);
  const [h1, m1, h2, m2] = (match?.slice(1) ?? []).map(Number);
  if (
    h1 === undefined ||
    m1 === undefined ||
    h2 === undefined ||
    m2 === undefined ||
    Math.max(m1, m2) > 59 ||
    h1 > 23 ||
    h2 > 24 ||
    (h2 === 24 && m2 > 0)
  )
    return { ok: false, error: `"${times}" are no times of a day. ${example}` };
  const from = h1 * 60 + m1;
  const to = h2 * 60 + m2;
  if (from === to) return { ok: false, error: `The window ${times} is empty. ${example}` };
  try {
    new Intl.DateTimeFormat('en-GB', { timeZone: zone });
  } catch {
    return { ok: false, error: `"${zone}" is no time zone that is known here. ${example}` };
  }
  return { ok: true, window: { days, from, to, zone } };
}

function parseDays(text: string): Day[] | null {
  if (text === 'daily') return [...DAYS];
  const days = new Set<Day>();
  for (const part of text.split(',')) {
    const [first = '', last = first, ...rest] = part.split('-');
    const from = DAYS.findIndex((day) => day === first);
    const to = DAYS.findIndex((day) => day === last);
    if (from === -1 || to === -1 || rest.length > 0) return null;
    for (let index = from; ; index = (index + 1) % 7) {
      const day = DAYS[index];
      if (day !== undefined) days.add(day);
      if (index === to) break;
    }
  }
  return DAYS.filter((day) => days.has(day));
}

/** A window in words that `parseWindow` reads as the same window. */
export function windowWords({ days, from, to, zone }: Window): string {
  return `${dayWords(days)} ${clock(from)}-${clock(to)} ${zone}`;
}

function dayWords(days: readonly Day[]): string {
  if (days.length === DAYS.length) return 'daily';
  const runs: number[][] = [];
  for (const [index, day] of DAYS.entries()) {
    if (!days.includes(day)) continue;
    const run = runs.at(-1);
    if (run?.at(-1) === index - 1) run.push(index);
    else runs.push([index]);
  }
  const name = (index: number | undefined): string => {
    const day = DAYS[index ?? 0] ?? 'mon';
    return `${day.charAt(0).toUpperCase()}${day.slice(1)}`;
  };
  return runs
    .map((run) => (run.length === 1 ? name(run[0]) : `${name(run[0])}-${name(run.at(-1))}`))
    .join(',');
}

function clock(minutes: number): string {
  const two = (number: number): string => String(number).padStart(2, '0');
  return `${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}

/** Whether the window is open at `now`, milliseconds since 1970. Daylight saving is the time zone's own. */
export function isOpenAt(window: Window, now: number): boolean {
  return isOpen(window, localTime(window.zone, now));
}

function isOpen(window: Window, { day, minute }: LocalTime): boolean {
  const opens = (at: Day): boolean => window.days.includes(at);
  if (window.from < window.to) return opens(day) && minute >= window.from && minute < window.to;
  return (opens(day) && minute >= window.from) || (opens(dayBefore(day)) && minute < window.to);
}

const MINUTE_MS = 60_000;
const QUARTER_MS = 15 * MINUTE_MS;
/** A weekly window may fall into the hour that daylight saving leaves out, and open a week later. */
const HORIZON_MS = 15 * 24 * 3_600_000;

/** When it opens next, to the minute, looking at most fifteen days ahead; `now` itself when it is open. */
export function opensAt(window: Window, now: number): number | null {
  if (isOpenAt(window, now)) return now;
  // Time zones change at whole quarters of an hour and by whole quarters: within one, minutes only have to be counted.
  for (
    let quarter = Math.floor(now / QUARTER_MS) * QUARTER_MS;
    quarter < now + HORIZON_MS;
    quarter += QUARTER_MS
  ) {
    const { day, minute } = localTime(window.zone, quarter);
    for (let past = 0; past < 15; past += 1) {
      const at = quarter + past * MINUTE_MS;
      if (at > now && isOpen(window, { day, minute: minute + past })) return at;
    }
  }
  return null;
}

function dayBefore(day: Day): Day {
  return DAYS[(DAYS.indexOf(day) + 6) % 7] ?? day;
}

interface LocalTime {
  day: Day;
  minute: number;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function localTime(zone: string, now: number): LocalTime {
  let format = formats.get(zone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-GB', {
      timeZone: zone,
      weekday: 'short',
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
    });
    formats.set(zone, format);
  }
  const parts = new Map(format.formatToParts(now).map((part) => [part.type, part.value]));
  const day = DAYS.find((each) => each === parts.get('weekday')?.toLowerCase()) ?? 'mon';
  return { day, minute: Number(parts.get('hour')) * 60 + Number(parts.get('minute')) };
}

/** The words of a window, as they are stored. */
export const WindowText = z
  .string()
  .max(120)
  .superRefine((text, context) => {
    const parsed = parseWindow(text);
    if (!parsed.ok) context.addIssue({ code: 'custom', message: parsed.error });
  });
