import { stripVTControlCharacters } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ProbeReport, ProbeRow, ProbeVerdict } from '@berth/shared/domain/probe';
import { fakeApi } from './support/fake-api.ts';
import { run } from './support/run.ts';

const HOST = 'h_0123456789abcdef';
let verdict: ProbeVerdict = 'held';
let rows: ProbeRow[] = [];
let fake: Awaited<ReturnType<typeof fakeApi>>;
beforeEach(async () => {
  const report = (): ProbeReport => ({
    at: 1,
    ms: 15_500,
    rows:
      rows.length > 0
        ? rows
        : [
            {
              area: 'host',
              tried: 'the host, 3 TCP ports',
              expected: 'not reached',
              seen: 'it worked',
              verdict,
            },
            {
              area: 'limits',
              tried: 'filling a volume',
              expected: 'not bounded',
              seen: 'no \u001b[2Jquota',
              verdict: 'note',
            },
          ],
  });
  fake = await fakeApi({ probeHost: report });
});
afterEach(async () => {
  rows = [];
  await fake.close();
});
const probe = (...more: string[]) => run(fake.url, ['host', 'probe', HOST, ...more]);

test('a probe that held ends with 0 and says what was tried', async () => {
  verdict = 'held';
  const { code, out } = await probe();
  expect(code).toBe(0);
  expect(out).toMatch(/host +the host, 3 TCP ports +not reached +it worked +held/);
  expect(out).toContain('1 held, 0 open, 1 notes, in 15.5 s');
  expect(out).not.toContain('\u001b');
  expect(fake.askedOf('probeHost')).toMatchObject([{ params: { host: HOST } }]);
});

test.each<[ProbeVerdict, RegExp]>([
  ['open', /OPEN\n[^]*0 held, 1 open/],
  ['broken', /broken\n[^]*1 prove nothing/],
  ['untried', /untried\n[^]*1 prove nothing/],
])('one that is %s ends with 1, in JSON too', async (what, words) => {
  verdict = what;
  const said = await probe();
  expect(said.code).toBe(1);
  expect(said.out).toMatch(words);
  const json = await probe('--json');
  expect(json.code).toBe(1);
  expect(JSON.parse(json.out)).toMatchObject({ host: HOST, rows: [{ verdict: what }, { verdict: 'note' }] });
});

test('on a terminal of 80 columns no line is wider, and no word of a row is lost', async () => {
  rows = [
    {
      area: 'network',
      tried: 'another container of the same tenant 198.19.255.195 TCP 8080',
      expected: 'reached',
      seen: 'it worked',
      verdict: 'held',
    },
    {
      area: 'host',
      tried: 'the host (own gateway) 198.19.255.193, 32 TCP ports',
      expected: 'not reached',
      seen: 'refused by the other side (ECONNREFUSED): the host (own gateway) 198.19.255.193 TCP 22; 31× no answer',
      verdict: 'open',
    },
  ];
  const { out } = await run(fake.url, ['host', 'probe', HOST], {
    tty: 'terminal',
    columns: 80,
    env: { NO_COLOR: '1' },
  });
  const lines = stripVTControlCharacters(out).trimEnd().split('\n');
  expect(Math.max(...lines.map((line) => [...line].length))).toBeLessThanOrEqual(79);
  const words = lines.join(' ').replaceAll(';', '').split(/\s+/);
  for (const row of rows)
    for (const word of `${row.area} ${row.tried}: ${row.seen}`.replaceAll(';', '').split(' '))
      expect(words).toContain(word);
  expect(out.replaceAll(/\s+/g, ' ')).toContain('OPEN');
  expect(words).toContain('expected:');
  expect(out).not.toContain('…');
});
