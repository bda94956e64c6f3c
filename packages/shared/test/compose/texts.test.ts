import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseDotenv } from '../../src/compose/dotenv.ts';
import { splitWords } from '../../src/compose/shellwords.ts';
import { nearest } from '../../src/compose/suggest.ts';
import { parseDuration, parseSize } from '../../src/compose/units.ts';

describe('durations and sizes', () => {
  it.each([
    ['0', 0],
    ['0s', 0],
    ['500ms', 500],
    ['1.5s', 1500],
    ['1m30s', 90_000],
    ['2h', 7_200_000],
    ['1500us', 2],
    ['10', undefined],
    ['10 s', undefined],
    ['-1s', undefined],
    ['', undefined],
    ['1d', undefined],
    ['9999h', undefined],
  ])('the duration %s is %s ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each([
    ['1048576', 1_048_576],
    ['10b', 10],
    ['64k', 65_536],
    ['256M', 268_435_456],
    ['1.5g', 1_610_612_736],
    ['2gb', 2_147_483_648],
    ['1GiB', 1_073_741_824],
    ['', undefined],
    ['-1', undefined],
    ['12q', undefined],
    ['99999999t', undefined],
  ])('the size %s is %s bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });
});

describe('commands written as one text', () => {
  it.each([
    ['a b  c', ['a', 'b', 'c']],
    ['sh -c "a && b | c"', ['sh', '-c', 'a && b | c']],
    [`echo 'it''s' "q\\"q"`, ['echo', 'its', 'q"q']],
    [String.raw`a\ b 'c\d'`, ['a b', String.raw`c\d`]],
    [String.raw`a "x\ny"`, ['a', 'x\ny']],
    [`x ''`, ['x', '']],
    ['a\n  b', ['a', 'b']],
    ['', []],
  ])('%s splits as Compose splits it', (line, words) => {
    expect(splitWords(line)).toEqual({ ok: true, words });
  });

  it.each(['a && b', 'a; b', 'a > f', 'a | b', '(a)', '"open', "it's", 'end\\'])(
    '%s is refused with a reason',
    (line) => {
      expect(splitWords(line).ok).toBe(false);
    },
  );

  it('gives back words that are quoted', () => {
    fc.assert(
      fc.property(fc.array(fc.string().filter((word) => !word.includes("'"))), (words) => {
        expect(splitWords(words.map((word) => `'${word}'`).join(' '))).toEqual({ ok: true, words });
      }),
    );
  });
});

describe('env files', () => {
  const read = (text: string, format: 'default' | 'raw' = 'default') =>
    Object.fromEntries(parseDotenv(text, format).entries.map((entry) => [entry.name, entry.value]));

  it('reads every way of writing a line', () => {
    expect(
      read(
        [
          '\uFEFF# a comment',
          '',
          'A=1',
          'export B = two words   # and a comment',
          'C: yaml-like',
          'D=',
          'E',
          "F='single $A # kept\\n'",
          'G="double \\"quoted\\" \\n \\t \\$A" # comment',
          'H="two',
          'lines"',
          'I=with#hash',
          'J=a=b\r',
          'K.L=dots',
        ].join('\n'),
      ),
    ).toEqual({
      A: '1',
      B: 'two words',
      C: 'yaml-like',
      D: '',
      E: undefined,
      F: 'single $A # kept\\n',
      G: 'double "quoted" \n \t $$A',
      H: 'two\nlines',
      I: 'with#hash',
      J: 'a=b',
      'K.L': 'dots',
    });
  });

  it('takes every character as it is in the raw format', () => {
    expect(read('A="x" # y\nB=$A', 'raw')).toEqual({ A: '"x" # y', B: '$A' });
  });

  it('names the line of what it cannot read', () => {
    expect(parseDotenv('A=1\nnot a line\nB="open\n', 'default').problems).toEqual([
      { line: 2, message: 'is not NAME=value, a comment or an empty line' },
      { line: 3, message: 'has a " that is never closed' },
    ]);
  });

  it('never throws', () => {
    fc.assert(
      fc.property(
        fc.string({
          unit: fc.constantFrom('A', '=', '"', "'", '\n', '\\', '#', ' ', '$', ':'),
          maxLength: 100,
        }),
        (text) => {
          expect(parseDotenv(text, 'default').entries.length).toBeLessThanOrEqual(text.length);
        },
      ),
    );
  });
});

describe('suggestions', () => {
  it.each([
    ['enviroment', 'environment'],
    ['volume', 'volumes'],
    ['depends-on', 'depends_on'],
    ['memLimit', 'mem_limit'],
    ['prots', 'ports'],
    ['banana', undefined],
  ])('%s is taken for %s', (word, known) => {
    expect(nearest(word, ['environment', 'volumes', 'depends_on', 'mem_limit', 'ports', 'image'])).toBe(
      known,
    );
  });
});
