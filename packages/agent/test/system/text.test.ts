import fc from 'fast-check';
import { expect, test } from 'vitest';
import { cleanLine, lastLines } from '../../src/system/text.ts';

test('no control character survives, and no line is longer than asked', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 1, max: 50 }), (text, max) => {
      const line = cleanLine(text, max);
      expect(line.length).toBeLessThanOrEqual(max);
      expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
    }),
  );
});

test('terminal sequences leave nothing behind', () => {
  expect(cleanLine('\u001b[1;31mred\u001b[0m \u001b]0;title\u0007plain', 100)).toBe('red plain');
});

test('the last lines that say something', () => {
  expect(lastLines('a\r\n\nb\nc  \n\u0000\n', 2)).toEqual(['b', 'c']);
  expect(lastLines('', 10)).toEqual([]);
});
