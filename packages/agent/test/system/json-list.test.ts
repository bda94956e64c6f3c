import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { JsonList } from '../../src/system/json-list.ts';

interface Element {
  Id: string;
  [field: string]: unknown;
}

const isElement = (value: unknown): value is Element =>
  typeof value === 'object' && value !== null && 'Id' in value && typeof value.Id === 'string';

function lists(): { list: JsonList<{ parsed: unknown }>; parsed: () => number } {
  let count = 0;
  const list = new JsonList(
    (element) => {
      count += 1;
      return { parsed: element };
    },
    ({ parsed }) => (isElement(parsed) ? parsed.Id : null),
  );
  return { list, parsed: () => count };
}

const bytesOf = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

const elements = fc.uniqueArray(
  fc.record({
    Id: fc.stringMatching(/^[a-c]{1,3}$/),
    more: fc.jsonValue(),
    text: fc.string({ unit: 'binary' }),
  }),
  { maxLength: 8, selector: (each) => each.Id },
);

describe('a JSON list that is read again', () => {
  test('has what JSON.parse has, whatever was read before', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.record({ value: fc.oneof(elements, fc.array(fc.jsonValue())), indent: fc.nat(2) }),
            // The same numbers with another end: 1, then 12.
            fc.record({ value: fc.array(fc.nat(120)), indent: fc.constant(0) }),
          ),
          { minLength: 1, maxLength: 6 },
        ),
        (rounds) => {
          const { list } = lists();
          for (const { value, indent } of rounds) {
            const text = ` ${JSON.stringify(value, null, indent)}\n`;
            const read = list.read(Buffer.from(text)).map(({ parsed }) => parsed);
            expect(read).toEqual(JSON.parse(text));
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  test('has the same values for elements that are the same, though others came, went and changed', () => {
    const { list, parsed } = lists();
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((Id) => ({ Id, text: '"]},[\\' }));
    const [first, second, third] = list.read(bytesOf([a, b, c]));
    expect(parsed()).toBe(3);
    expect(list.read(bytesOf([d, a, b, c])).slice(1)).toEqual([first, second, third]);
    expect(parsed()).toBe(4);
    const again = list.read(bytesOf([d, { ...a, text: 'new' }, b, c]));
    expect(parsed()).toBe(5);
    expect(again[2]).toBe(second);
    expect(again[3]).toBe(third);
    const fewer = list.read(bytesOf([d, b, c]));
    expect(fewer[1]?.parsed).toEqual(b);
    expect(fewer[2]).toBe(third);
    expect(list.read(bytesOf([]))).toEqual([]);
  });

  test('what is no array is refused, and what was known stays', () => {
    const { list, parsed } = lists();
    const [only] = list.read(bytesOf([{ Id: 'a' }]));
    const broken = [
      '',
      '{}',
      'null',
      '[',
      '[1',
      '[1,',
      '[1,]',
      '[,1]',
      '[1]]',
      '[1] x',
      '[{"Id":"a"}',
      '[{"Id":"a"}}]',
      '["a',
      '["\\',
      '[{]}]',
      '[1 2]',
    ];
    for (const text of broken) expect(() => list.read(Buffer.from(text)), text).toThrow(SyntaxError);
    const before = parsed();
    expect(list.read(bytesOf([{ Id: 'a' }]))[0]).toBe(only);
    expect(parsed()).toBe(before);
  });
});
