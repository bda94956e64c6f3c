import { expect, test } from 'vitest';
import { jsonLines } from '../../src/system/lines.ts';

test('JSON lines are read across chunks, and torn ones left out', async () => {
  async function* chunks(): AsyncGenerator<Buffer> {
    for (const text of ['{"a":', '1}\n{"b":"ü', '"}\n{torn\n', '{"c":3}'])
      yield await Promise.resolve(Buffer.from(text));
  }
  const seen: unknown[] = [];
  for await (const value of jsonLines(chunks())) seen.push(value);
  expect(seen).toEqual([{ a: 1 }, { b: 'ü' }, { c: 3 }]);
});
