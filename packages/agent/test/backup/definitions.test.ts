import { describe, expect, test } from 'vitest';
import { expectSame, sentenceOf, type Difference } from '../../src/backup/compare.ts';
import { plain } from '../../src/backup/definitions.ts';

describe('an expression', () => {
  test('is the same however PostgreSQL writes a list of a varchar column', () => {
    const before = `CHECK (((state)::text = ANY ((ARRAY['a'::character varying, 'b c'::character varying])::text[])))`;
    const after = `CHECK (((state)::text = ANY (ARRAY[('a'::character varying)::text, ('b c'::character varying)::text])))`;
    expect(plain(before)).toBe(plain(after));
  });

  test('is another when a value, a column or another cast is', () => {
    const one = `CHECK ((state)::text = 'a'::text)`;
    for (const other of [
      `CHECK ((state)::text = 'b'::text)`,
      `CHECK ((status)::text = 'a'::text)`,
      `CHECK ((state)::int = 'a'::text)`,
    ])
      expect(plain(other)).not.toBe(plain(one));
  });
});

test('differences are told in one sentence that names the first three and counts the rest', () => {
  const differences: Difference[] = [
    { kind: 'definitions', part: 'columns' },
    { kind: 'rows', table: 'public.a', expected: 3, found: 2 },
    { kind: 'table_missing', table: 'public.b', expected: 1 },
    { kind: 'table_added', table: 'public.c', found: 0 },
  ];
  expect(sentenceOf({ kind: 'table_added', table: 'public.c', found: 0 })).toBe(
    'public.c is there too (0 rows)',
  );
  expect(() => expectSame(differences, 'database "x"')).toThrow(
    'What was restored into database "x" is not what the backup\'s manifest says: columns are defined otherwise; public.a has 2 rows instead of 3; public.b is missing (1 rows); and 1 more. Do not use it; restore another backup.',
  );
  expect(() => expectSame([], 'database "x"')).not.toThrow();
});
