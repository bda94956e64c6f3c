import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LATENCY_BOUNDS_MS, noTraffic, type Traffic } from '@berth/shared/domain/traffic';
import { bucketOf } from '../../src/traffic/histogram.ts';
import { addressKey, countLines, newTally } from '../../src/traffic/lines.ts';

function read(text: string) {
  const bytes = Buffer.from(text, 'latin1');
  const tally = newTally();
  const counted = countLines(bytes, bytes.length, tally);
  const of = (address: string): Traffic => tally.byAddress.get(addressKey(address)) ?? noTraffic();
  return { tally, counted, of };
}

/** The histogram with these times in it. */
function latency(...times: number[]): number[] {
  const counts = noTraffic().latency;
  for (const ms of times) {
    const found = LATENCY_BOUNDS_MS.findIndex((bound) => ms <= bound);
    const bucket = found === -1 ? LATENCY_BOUNDS_MS.length : found;
    counts[bucket] = (counts[bucket] ?? 0) + 1;
  }
  return counts;
}

describe('one line', () => {
  test('is a request with the time to its first byte', () => {
    const { of, counted, tally } = read('198.18.96.1 200 0.012\n');
    expect(of('198.18.96.1')).toEqual({ requests: 1, errors: 0, latency: latency(12) });
    expect(counted).toBe(22);
    expect(tally.torn).toBe(0);
  });

  test.each([
    ['0.001, 0.250', 250],
    ['0.001 : 0.007', 7],
    ['-, 0.003', 3],
    ['0.004, -', 4],
    ['12.345', 12_345],
    ['300.000', 300_000],
  ])('with the times %s counts the last of them', (times, ms) => {
    expect(read(`198.18.96.1 200 ${times}\n`).of('198.18.96.1').latency).toEqual(latency(ms));
  });

  test('without a time is a request without a latency', () => {
    const { of } = read('198.18.96.1 499 -\n198.18.96.1 400 -, - : -\n');
    expect(of('198.18.96.1')).toEqual({ requests: 2, errors: 0, latency: latency() });
  });

  test.each([
    [499, 0],
    [500, 1],
    [502, 1],
    [599, 1],
    [600, 0],
    [404, 0],
  ])('with status %d adds %d to the errors', (status, errors) => {
    expect(read(`198.18.96.1 ${status} 0.001\n`).of('198.18.96.1').errors).toBe(errors);
  });

  test.each(['nowhere 421 0.000\n', 'noroute 404 0.000\n'])('of what nobody has is nobody’s: %j', (line) => {
    const { tally, counted } = read(line);
    expect(tally).toMatchObject({ byAddress: new Map(), torn: 0, lines: 0 });
    expect(counted).toBe(18);
  });

  test.each([
    '198.18.96.1 20',
    '198.18.96 200 0.001',
    '198.18.96.1.2 200 0.001',
    '198.18.96.256 200 0.001',
    '198..96.1 200 0.001',
    '198.18.96.1 2000 0.001',
    '198.18.96.1 abc 0.001',
    '198.18.96.1 200 0.0198.18.96.2 200 0.001',
    '198.18.96.1 200 0.01',
    '198.18.96.1 200 12',
    '198.18.96.1 200 0.001;',
    '198.18.96.1 200',
    '\0\0\0\0\0',
    '',
  ])('that is not whole (%j) is counted as torn, and the next one as it is', (line) => {
    const { tally, of } = read(`${line}\n198.18.96.7 200 0.001\n`);
    expect(tally.torn).toBe(1);
    expect(tally.byAddress.size).toBe(1);
    expect(of('198.18.96.7').requests).toBe(1);
  });
});

describe('requests of an address that led elsewhere a while ago', () => {
  const T = 1_763_640_479_000;
  const spans = [
    { from: 0, to: T - 500, generation: 3 },
    { from: T + 1_500, to: Number.POSITIVE_INFINITY, generation: 4 },
  ];
  const second = (ms: number): string => `${Math.floor(ms / 1000)}.${String(ms % 1000).padStart(3, '0')}`;
  /** Counts for each of both, of one request that ended then, with these times. */
  const counts = (ended: number, took: number, first: string): number[] => {
    const bytes = Buffer.from(`198.18.96.1 200 ${second(ended)} ${second(took)} ${first}\n`);
    const tally = newTally(() => spans);
    countLines(bytes, bytes.length, tally);
    expect(tally).toMatchObject({ torn: 0, lines: 1, byAddress: new Map() });
    return [0, 1].map((index) => tally.split.get(addressKey('198.18.96.1'))?.traffic[index]?.requests ?? 0);
  };

  test.each([
    ['ended before the switch', T - 600, 10, '0.010', [1, 0]],
    ['began after it', T + 1_600, 10, '0.010', [0, 1]],
    ['waited long for the old one, and ended late', T + 30_000, 60_000, '60.000', [1, 0]],
    ['was sent on around the switch', T + 30_000, 30_000, '30.000', [0, 0]],
    ['was read slowly, so that nobody knows where it went', T + 30_000, 60_000, '0.010', [0, 0]],
    ['was not answered by anybody, and began before it', T + 30_000, 60_000, '-', [0, 0]],
    ['was tried again after it', T + 30_000, 20_000, '5.000, 2.000', [0, 1]],
  ])('that %s', (_name, ended, took, first, wanted) => {
    expect(counts(ended, took, first)).toEqual(wanted);
  });

  test('are nobody’s without a time, as an older agent had them written', () => {
    const bytes = Buffer.from('198.18.96.1 200 0.010\n198.18.96.2 200 0.010\n');
    const tally = newTally((address) => (address === addressKey('198.18.96.1') ? spans : null));
    countLines(bytes, bytes.length, tally);
    expect(tally.split.get(addressKey('198.18.96.1'))?.traffic).toEqual([null, null]);
    expect(tally.byAddress.get(addressKey('198.18.96.2'))?.requests).toBe(1);
  });
});

test('the beginning of a line waits for its end', () => {
  expect(read('198.18.96.1 200 0.001\n198.18.96.1 50').counted).toBe(22);
  expect(read('198.18.96.1 200 0.0').counted).toBe(0);
  expect(read('').counted).toBe(0);
});

test('what lies behind the given end is not looked at', () => {
  const bytes = Buffer.from('198.18.96.1 200 0.001\n198.18.96.1 200 0.001\n');
  const tally = newTally();
  expect(countLines(bytes, 30, tally)).toBe(22);
  expect(tally.byAddress.get(addressKey('198.18.96.1'))?.requests).toBe(1);
});

test('every time falls into the bucket of the first bound that it does not exceed', () => {
  fc.assert(
    fc.property(fc.nat({ max: 40_000 }), (ms) => {
      const bucket = bucketOf(ms);
      expect(ms).toBeLessThanOrEqual(LATENCY_BOUNDS_MS[bucket] ?? Number.POSITIVE_INFINITY);
      if (bucket > 0) expect(ms).toBeGreaterThan(LATENCY_BOUNDS_MS[bucket - 1] ?? 0);
    }),
    { verbose: 1 },
  );
});

test('different addresses have different keys', () => {
  const address = fc.ipV4();
  fc.assert(
    fc.property(address, address, (one, other) => {
      expect(addressKey(one) === addressKey(other)).toBe(one === other);
    }),
    { verbose: 1 },
  );
});

test('whatever the requests and however the log is cut into pieces, the counts are those of a plain reading', () => {
  const request = fc.record({
    address: fc.constantFrom('198.18.96.1', '198.18.96.2', '198.18.111.255', '10.0.0.9'),
    status: fc.constantFrom(200, 301, 404, 499, 500, 502, 503, 504),
    times: fc.array(fc.option(fc.nat({ max: 12_000 })), { minLength: 1, maxLength: 3 }),
  });
  const story = fc.array(request, { maxLength: 60 });
  const cuts = fc.array(fc.integer({ min: 1, max: 80 }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(story, cuts, fc.constantFrom('plain', 'timed'), (requests, sizes, form) => {
      const text = requests
        .map(({ address, status, times }) => {
          const said = times.map((ms) =>
            ms === null ? '-' : `${Math.floor(ms / 1000)}.${String(ms % 1000).padStart(3, '0')}`,
          );
          const when = form === 'plain' ? '' : `1763640479.${String(times.length).padStart(3, '0')} 12.345 `;
          return `${address} ${status} ${when}${said.join(', ')}\n`;
        })
        .join('');
      const wanted = new Map<number, Traffic>();
      for (const { address, status, times } of requests) {
        const traffic = wanted.get(addressKey(address)) ?? noTraffic();
        traffic.requests += 1;
        traffic.errors += status >= 500 ? 1 : 0;
        const last = times.filter((ms) => ms !== null).at(-1);
        const added = last === undefined ? latency() : latency(last);
        traffic.latency = traffic.latency.map((count, index) => count + (added[index] ?? 0));
        wanted.set(addressKey(address), traffic);
      }

      const tally = newTally();
      let rest = Buffer.alloc(0);
      for (let at = 0, cut = 0; at < text.length; cut += 1) {
        const size = sizes[cut % sizes.length] ?? 80;
        rest = Buffer.concat([rest, Buffer.from(text.slice(at, at + size))]);
        rest = rest.subarray(countLines(rest, rest.length, tally));
        at += size;
      }
      expect(rest.length).toBe(0);
      expect(tally).toMatchObject({ byAddress: wanted, torn: 0, lines: requests.length });
    }),
    { verbose: 1 },
  );
});

test('no bytes at all can make it fail, nor read beyond a whole line', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const counted = countLines(Buffer.from(bytes), bytes.length, newTally());
      expect(counted).toBe(bytes.lastIndexOf(10) + 1);
    }),
    { verbose: 1 },
  );
});
