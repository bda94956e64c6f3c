import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  isOpenAt,
  opensAt,
  parseWindow,
  windowWords,
  WindowText,
  type Window,
} from '../../src/domain/window.ts';

function windowOf(text: string): Window {
  const parsed = parseWindow(text);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.window;
}
const at = (text: string): number => Date.parse(text);
const openAt = (text: string, time: string): boolean => isOpenAt(windowOf(text), at(time));
const opens = (text: string, time: string): string | null => {
  const found = opensAt(windowOf(text), at(time));
  return found === null ? null : new Date(found).toISOString().replace('.000Z', 'Z');
};
const MINUTE = 60_000;
const EXAMPLE = 'A window looks like "Mon-Fri 22:00-04:00 Europe/Berlin" or "daily 01:00-05:00 UTC".';

describe('the text of a window', () => {
  it('is read again as the same window', () => {
    const names = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];
    fc.assert(
      fc.property(
        fc.subarray(names, { minLength: 1 }),
        fc.integer({ min: 0, max: 1439 }),
        fc.integer({ min: 0, max: 1439 }),
        (days, from, to) => {
          fc.pre(from !== to);
          const two = (number: number) => String(number).padStart(2, '0');
          const time = (minutes: number) => `${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
          const window = windowOf(`${days.join(',')} ${time(from)}-${time(to)} Europe/Berlin`);
          expect(windowOf(windowWords(window))).toEqual(window);
        },
      ),
    );
    expect(windowWords(windowOf('mon-fri 22:00-04:00 UTC'))).toBe('Mon-Fri 22:00-04:00 UTC');
    expect(windowWords(windowOf('Sat,Mon,Tue 00:00-24:00 UTC'))).toBe('Mon-Tue,Sat 00:00-24:00 UTC');
    expect(windowWords(windowOf('Mon-Sun 01:00-02:00 UTC'))).toBe('daily 01:00-02:00 UTC');
  });

  it('names days as a range, a list or daily', () => {
    expect(windowOf('Mon-Fri 22:00-04:00 Europe/Berlin')).toEqual({
      days: ['mon', 'tue', 'wed', 'thu', 'fri'],
      from: 1320,
      to: 240,
      zone: 'Europe/Berlin',
    });
    expect(windowOf('Sat,sun 00:00-24:00 UTC')).toEqual({
      days: ['sat', 'sun'],
      from: 0,
      to: 1440,
      zone: 'UTC',
    });
    expect(windowOf('fri-Mon,wed 01:00-02:00 UTC').days).toEqual(['mon', 'wed', 'fri', 'sat', 'sun']);
    expect(windowOf(' daily  01:00-05:00  UTC ').days).toHaveLength(7);
  });

  it('is refused with a sentence that names what is wrong', () => {
    const refused = (text: string): string => {
      const parsed = parseWindow(text);
      return parsed.ok ? 'read' : parsed.error;
    };
    for (const text of ['', 'daily', 'daily 01:00-05:00 UTC please']) expect(refused(text)).toBe(EXAMPLE);
    expect(refused('Mon 03:00-04:00')).toBe(`The window "Mon 03:00-04:00" lacks its time zone. ${EXAMPLE}`);
    for (const days of ['Funday', 'Mon-', 'Mon-Tue-Wed', 'Mon,,Tue'])
      expect(refused(`${days} 01:00-05:00 UTC`)).toBe(`"${days}" names no days. ${EXAMPLE}`);
    for (const times of [
      '1:00-5:00',
      '01:00',
      '24:00-05:00',
      '01:60-05:00',
      '01:00-24:01',
      '01:00-25:00',
      'x-y',
    ])
      expect(refused(`daily ${times} UTC`)).toBe(`"${times}" are no times of a day. ${EXAMPLE}`);
    expect(refused('daily 05:00-05:00 UTC')).toBe(`The window 05:00-05:00 is empty. ${EXAMPLE}`);
    expect(refused('daily 01:00-05:00 Berlin/Mitte')).toBe(
      `"Berlin/Mitte" is no time zone that is known here. ${EXAMPLE}`,
    );
    expect(WindowText.safeParse('daily 5-6 UTC').error?.issues[0]?.message).toContain('no times of a day');
    expect(WindowText.safeParse('daily 05:00-06:00 UTC').success).toBe(true);
  });
});

describe('a window', () => {
  it('is open from its first minute until before its last', () => {
    expect(openAt('daily 01:00-05:00 UTC', '2026-11-20T00:59:59.999Z')).toBe(false);
    expect(openAt('daily 01:00-05:00 UTC', '2026-11-20T01:00:00Z')).toBe(true);
    expect(openAt('daily 01:00-05:00 UTC', '2026-11-20T04:59:59.999Z')).toBe(true);
    expect(openAt('daily 01:00-05:00 UTC', '2026-11-20T05:00:00Z')).toBe(false);
    expect(openAt('daily 00:00-24:00 UTC', '2026-11-20T23:59:59Z')).toBe(true);
  });

  it('over midnight belongs to the day on which it began', () => {
    // 20 November 2026 is a Friday.
    const text = 'Mon-Fri 22:00-04:00 Europe/Berlin';
    expect(openAt(text, '2026-11-20T21:00:00Z')).toBe(true);
    expect(openAt(text, '2026-11-21T02:59:00Z')).toBe(true);
    expect(openAt(text, '2026-11-21T03:00:00Z')).toBe(false);
    expect(openAt(text, '2026-11-21T21:00:00Z')).toBe(false);
    expect(openAt(text, '2026-11-23T02:00:00Z')).toBe(false);
    expect(openAt(text, '2026-11-23T21:00:00Z')).toBe(true);
    expect(openAt('Sun 22:00-00:00 UTC', '2026-11-22T23:59:00Z')).toBe(true);
    expect(openAt('Sun 22:00-00:00 UTC', '2026-11-23T00:00:00Z')).toBe(false);
  });

  it('follows the clocks of its place into summer and out of it', () => {
    const text = 'daily 01:00-04:00 Europe/Berlin';
    // 29 March 2026, 01:00 UTC: 02:00 becomes 03:00, so the window is two hours long.
    expect(openAt(text, '2026-03-28T23:59:00Z')).toBe(false);
    expect(openAt(text, '2026-03-29T00:00:00Z')).toBe(true);
    expect(openAt(text, '2026-03-29T01:59:00Z')).toBe(true);
    expect(openAt(text, '2026-03-29T02:00:00Z')).toBe(false);
    // 25 October 2026, 01:00 UTC: 03:00 becomes 02:00, so it is four hours long.
    expect(openAt(text, '2026-10-24T22:59:00Z')).toBe(false);
    expect(openAt(text, '2026-10-24T23:00:00Z')).toBe(true);
    expect(openAt(text, '2026-10-25T02:59:00Z')).toBe(true);
    expect(openAt(text, '2026-10-25T03:00:00Z')).toBe(false);
  });

  it('that summer time leaves out opens on the next day it has, and one that comes twice opens twice', () => {
    const text = 'Sun 02:10-02:50 Europe/Berlin';
    expect(opens(text, '2026-03-22T02:00:00Z')).toBe('2026-04-05T00:10:00Z');
    expect(opens(text, '2026-10-25T00:00:00Z')).toBe('2026-10-25T00:10:00Z');
    expect(opens(text, '2026-10-25T00:50:00Z')).toBe('2026-10-25T01:10:00Z');
    // What is left of it before the clocks go forward is ten minutes.
    expect(opens('Sun 01:50-02:05 Europe/Berlin', '2026-03-29T00:00:00Z')).toBe('2026-03-29T00:50:00Z');
  });

  it('that is open opens now, and else at the minute it says', () => {
    const now = at('2026-11-20T02:30:15Z');
    expect(opensAt(windowOf('daily 01:00-05:00 UTC'), now)).toBe(now);
    expect(opens('daily 01:00-05:00 UTC', '2026-11-20T05:00:01Z')).toBe('2026-11-21T01:00:00Z');
    expect(opens('Thu 22:00-04:00 Europe/Berlin', '2026-11-20T03:00:00Z')).toBe('2026-11-26T21:00:00Z');
    // One of a few minutes is not stepped over.
    expect(opens('daily 03:07-03:09 Asia/Kathmandu', '2026-11-20T00:00:30Z')).toBe('2026-11-20T21:22:00Z');
  });

  it('opens at the first open minute there is, whatever the place', () => {
    const day = fc.constantFrom('daily', 'Mon', 'Sat,Sun', 'Fri-Mon');
    const zone = fc.constantFrom(
      'UTC',
      'Europe/Berlin',
      'America/St_Johns',
      'Australia/Lord_Howe',
      'Asia/Kathmandu',
    );
    const minute = fc.integer({ min: 0, max: 1439 });
    const spring = at('2026-03-28T12:00:00Z');
    const word = (minutes: number): string =>
      `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;
    fc.assert(
      fc.property(
        day,
        zone,
        minute,
        minute,
        fc.integer({ min: 0, max: 8 * 86_400_000 }),
        (days, place, from, to, past) => {
          fc.pre(from !== to);
          const window = windowOf(`${days} ${word(from)}-${word(to)} ${place}`);
          const now = spring + past;
          const found = opensAt(window, now);
          if (found === null) throw new Error('it never opens');
          expect(isOpenAt(window, found)).toBe(true);
          if (found === now) return;
          expect(isOpenAt(window, found - 1)).toBe(false);
          // A few moments before it, instead of every minute of a week.
          for (let part = 0; part < 20; part += 1)
            expect(isOpenAt(window, now + Math.floor(((found - now - 1) * part) / 20))).toBe(false);
          expect(found % MINUTE).toBe(0);
        },
      ),
    );
  });
});
