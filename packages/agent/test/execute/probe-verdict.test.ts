import { describe, expect, test } from 'vitest';
import fc from 'fast-check';
import type { ProbeVerdict } from '@berth/shared/domain/probe';
import { programsOf, type Attempt, type Target } from '../../src/execute/probe/attempt.ts';
import { controlAttempts } from '../../src/execute/probe/aims.ts';
import { hogVerdict } from '../../src/execute/probe/hogs.ts';
import { kernelAttempts } from '../../src/execute/probe/kernel.ts';
import { paceOf, slower, UNKNOWN_PACE } from '../../src/execute/probe/pace.ts';
import { lookup, shut, works, type Place } from '../../src/execute/probe/reach.ts';
import { rowsOf } from '../../src/execute/probe/rows.ts';
import { settle, worthAnother, MOST_TRIES, type Try } from '../../src/execute/probe/verdict.ts';

const EPERM = 1;
const REFUSED = 111;
const BY_RULE = 113;
const place = (target: Target): Place => ({ what: 'the host', address: '192.0.2.1', port: 22, target });
const host = (stays: 'certain' | 'passing'): Target => ({ kind: 'host', address: '192.0.2.1', stays });
const mustNot = shut('a', 'host', 'tcp', place(host('passing')));
const must = works('b', 'network', 'udp', place({ kind: 'container', whose: 'own' }));
const [kernel] = kernelAttempts(1);

const ended = (code: number | null, target: Try['target'] = 'there'): Try => ({
  result: { code, output: '' },
  target,
});
const verdict = (attempt: Attempt, ...tries: Try[]): ProbeVerdict => settle(attempt, tries).verdict;

describe('what must be shut', () => {
  test('holds when a rule refuses it or nothing answers, and a refusal by the other side is reached', () => {
    expect(verdict(mustNot, ended(BY_RULE))).toBe('held');
    expect(verdict(mustNot, ended(115))).toBe('held');
    expect(mustNot.judge({ code: REFUSED, output: '' })).toBe('open');
    expect(verdict(mustNot, ended(null))).toBe('untried');
  });

  test('is open only when a second try confirms it', () => {
    expect(verdict(mustNot, ended(0))).toBe('untried');
    expect(worthAnother(mustNot, [ended(0)])).toBe(true);
    expect(verdict(mustNot, ended(0), ended(REFUSED))).toBe('open');
    expect(worthAnother(mustNot, [ended(0), ended(0)])).toBe(false);
    const [once, again] = [ended(0), ended(BY_RULE)];
    expect(settle(mustNot, [once, again, again])).toMatchObject({
      verdict: 'untried',
      why: 'reached once, and not when it was tried again',
    });
    expect(verdict(mustNot, once, again, once)).toBe('open');
  });

  test('is never open when what was aimed at was not there all the time, and then says so', () => {
    const gone = [ended(0, 'gone'), ended(REFUSED, 'gone')];
    expect(settle(mustNot, gone)).toMatchObject({
      verdict: 'note',
      why: 'untried: 192.0.2.1 did not stay an address of this host meanwhile',
    });
    expect(verdict(shut('a', 'host', 'tcp', place(host('certain'))), ...gone)).toBe('untried');
    expect(verdict(shut('a', 'network', 'tcp', place({ kind: 'container', whose: 'other' })), ...gone)).toBe(
      'untried',
    );
    // What was refused proves as little: there was nothing to be reached.
    expect(verdict(mustNot, ended(BY_RULE, 'gone'))).toBe('note');
    expect(worthAnother(mustNot, [ended(BY_RULE, 'gone')])).toBe(true);
    expect(verdict(mustNot, ended(0, 'gone'), ended(BY_RULE))).toBe('held');
    expect(verdict(mustNot, ended(0, 'gone'), ended(0))).toBe('untried');
  });

  test('holds when the kernel threw the datagram away before it left', () => {
    const attempt = shut('a', 'host', 'udp', place(host('certain')));
    expect(verdict(attempt, ended(EPERM))).toBe('held');
    const [row] = rowsOf([attempt], new Map([['a', settle(attempt, [ended(EPERM)])]]));
    expect(row).toMatchObject({ verdict: 'held', seen: 'dropped before it left (EPERM)' });
  });
});

describe('what must work', () => {
  test('is broken only when no try of three worked', () => {
    expect(worthAnother(must, [ended(EPERM)])).toBe(true);
    expect(verdict(must, ended(EPERM), ended(0))).toBe('held');
    expect(verdict(must, ended(null), ended(EPERM), ended(0))).toBe('held');
    const all = [ended(EPERM), ended(EPERM), ended(EPERM)];
    expect(worthAnother(must, all)).toBe(false);
    const [row] = rowsOf([must], new Map([['b', settle(must, all)]]));
    expect(row).toMatchObject({ verdict: 'broken', seen: 'dropped before it left (EPERM)' });
  });

  test('is untried and not broken when its other side went away', () => {
    expect(verdict(must, ended(BY_RULE, 'gone'), ended(BY_RULE, 'gone'))).toBe('untried');
  });
});

test('what the kernel itself lets through is open at once: no load makes a system call succeed', () => {
  if (kernel === undefined) throw new Error('there are none');
  expect(verdict(kernel, ended(0))).toBe('open');
  expect(worthAnother(kernel, [ended(0)])).toBe(false);
  expect(verdict(kernel, ended(EPERM))).toBe('held');
  expect(worthAnother(kernel, [ended(null)])).toBe(true);
});

test('a lookup that did not end proves nothing', () => {
  for (const kind of ['own', { stranger: '198.19.0.2' }, 'outside'] as const)
    expect(verdict(lookup('l', 'a name', 'web', kind), ended(null))).toBe('untried');
});

test('a stranger’s name is open when its address is told, whatever else a name server makes of the name', () => {
  const attempt = lookup('l', 'a name', 'web', { stranger: '198.19.0.2' });
  // Header with one answer, the question, the record that ends with the address.
  const answer = (address: string): Try => {
    const bytes = Buffer.from([
      0xbe, 0x47, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0, 3, 119, 101, 98, 0, 0, 1, 0, 1,
    ]);
    const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, ...address.split('.').map(Number)]);
    return {
      result: { code: 0, output: Buffer.concat([bytes, record]).toString('hex') },
      target: 'there',
    };
  };
  expect(verdict(attempt, answer('198.19.0.2'), answer('198.19.0.2'))).toBe('open');
  expect(verdict(attempt, answer('203.0.113.80'))).toBe('held');
  const own = lookup('l', 'a name', 'web', 'own');
  expect(verdict(own, answer('198.19.0.2'))).toBe('held');
});

test('whatever comes, no try too many is made, and open takes two sound tries that reached', () => {
  const tried = fc.record({
    result: fc.record({
      code: fc.constantFrom(null, 0, EPERM, 11, REFUSED, BY_RULE),
      output: fc.constant(''),
    }),
    target: fc.constantFrom<Try['target']>('there', 'gone'),
  });
  fc.assert(
    fc.property(fc.array(tried, { maxLength: 5 }), (tries) => {
      const reached = tries.filter(
        ({ target, result }) => target === 'there' && (result.code === 0 || result.code === REFUSED),
      );
      const settled = settle(mustNot, tries);
      expect(settled.verdict === 'open').toBe(reached.length >= 2);
      if (reached.length > 0) expect(settled.verdict).not.toBe('held');
      if (tries.length >= MOST_TRIES) expect(worthAnother(mustNot, tries)).toBe(false);
    }),
  );
});

describe('a row', () => {
  const ports = [22, 80, 443].map((port) => ({
    ...shut(`p${port}`, 'host', 'tcp', { ...place(host('passing')), port }),
    group: 'the host, 3 ports',
  }));
  const outcomes = (tries: readonly Try[][]) =>
    new Map(
      ports.flatMap((each, index) => (tries[index] ? [[each.id, settle(each, tries[index])] as const] : [])),
    );

  test('of a group has the worst of its verdicts and names what is open', () => {
    const reached = [ended(REFUSED), ended(REFUSED)];
    const [row, ...more] = rowsOf(ports, outcomes([[ended(BY_RULE)], reached, [ended(BY_RULE)]]));
    expect(more).toEqual([]);
    expect(row).toMatchObject({ tried: 'the host, 3 ports', verdict: 'open' });
    expect(row?.seen).toContain('the host 192.0.2.1 TCP 80');
  });

  test('is one for all that aimed at an address which did not stay, and says so once', () => {
    const gone = [ended(0, 'gone'), ended(0, 'gone')];
    const tried = 'the host 192.0.2.1, which came or went';
    expect(rowsOf(ports, outcomes([gone, gone, gone]))).toMatchObject([
      { tried, verdict: 'note', seen: 'untried: 192.0.2.1 did not stay an address of this host meanwhile' },
    ]);
  });

  test('of what was never tried is untried', () => {
    expect(rowsOf(ports.slice(0, 1), new Map())).toMatchObject([
      { verdict: 'untried', seen: 'it did not end' },
    ]);
  });
});

describe('the limits of time', () => {
  test('grow with what the first run took, up to a bound', () => {
    expect(paceOf(300)).toEqual({ answers: 'quick', limitS: 6 });
    expect(paceOf(1_600)).toEqual({ answers: 'patient', limitS: 13 });
    expect(paceOf(60_000)).toEqual({ answers: 'patient', limitS: 20 });
    expect(UNKNOWN_PACE.answers).toBe('patient');
  });

  test('are never shorter for another try', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 100_000 }), (ms) => {
        const pace = paceOf(ms);
        expect(slower(pace).limitS).toBeGreaterThanOrEqual(Math.min(20, 2 * pace.limitS));
        expect(slower(pace).answers).toBe('patient');
      }),
    );
  });
});

test('a hog is open when it is unbounded or its neighbour suffers, and untried when the host is too slow to tell', () => {
  expect(hogVerdict('bounded', 'answers')).toBe('held');
  expect(hogVerdict('unbounded', 'answers')).toBe('open');
  expect(hogVerdict('unbounded', 'slow host')).toBe('open');
  expect(hogVerdict('bounded', 'silent')).toBe('open');
  expect(hogVerdict('bounded', 'slow host')).toBe('untried');
  expect(hogVerdict('unknown', 'answers')).toBe('untried');
});

test('the attempts that are timed must all work, and each program is made once', () => {
  const network = { tenant: 'probe_a', name: 'n', bridge: 'b', subnet: 's', gateway: '192.0.2.1' };
  const room = { network, address: (index: number) => `192.0.2.${10 + index}` };
  const attempts = controlAttempts(
    { agent: 'a', virtualCidr: '198.18.0.0/16' },
    { probe_a: room, probe_b: room },
  );
  expect(new Set(attempts.map((each) => each.expected))).toEqual(new Set(['reached', 'an address']));
  expect(programsOf([...attempts, ...attempts]).length).toBe(attempts.length);
});
