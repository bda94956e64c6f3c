import fc from 'fast-check';
import { expect, test } from 'vitest';
import { contains, overlaps, parseCidr } from '../../src/system/cidr.ts';

test.each(['198.18.0.0/16', '0.0.0.0/0', '10.1.2.3/32', '198.18.16.0/20'])('%s is a range', (text) => {
  expect(parseCidr(text)).not.toBeNull();
});

test.each([
  '198.18.0.1/16',
  '198.18.0.0',
  '198.18.0.0/33',
  '256.0.0.0/8',
  '1.2.3/8',
  '::/0',
  '1.2.3.4/8/9',
  '',
])('%j is none', (text) => {
  expect(parseCidr(text)).toBeNull();
});

test('ranges overlap exactly when one holds the other’s first address', () => {
  const range = fc
    .tuple(fc.nat({ max: 2 ** 32 - 1 }), fc.integer({ min: 0, max: 32 }))
    .map(([value, prefix]) => {
      const size = 2 ** (32 - prefix);
      const base = Math.floor(value / size) * size;
      const text = [24, 16, 8, 0].map((shift) => Math.floor(base / 2 ** shift) % 256).join('.');
      return { text: `${text}/${prefix}`, first: text };
    });
  fc.assert(
    fc.property(range, range, (a, b) => {
      const expected = contains(a.text, b.first) || contains(b.text, a.first);
      expect(overlaps(a.text, b.text)).toBe(expected);
      expect(overlaps(b.text, a.text)).toBe(expected);
    }),
  );
});
