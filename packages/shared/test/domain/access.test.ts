import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  AccessScope,
  covers,
  EVERYTHING,
  isEverything,
  mayDo,
  plainText,
  Role,
  scopeFault,
  scopeText,
  textLines,
} from '../../src/domain/access.ts';

const name = fc.constantFrom('a', 'b', 'c');
const scope = fc.record({
  apps: fc.uniqueArray(name),
  pools: fc.uniqueArray(name),
  tenants: fc.uniqueArray(name),
});
const place = fc.record({ app: fc.option(name), pool: fc.option(name), tenant: fc.option(name) });

describe('a scope', () => {
  test('that names something covers only what has one of its names', () => {
    fc.assert(
      fc.property(scope, place, (given, where) => {
        const named =
          (where.app !== null && given.apps.includes(where.app)) ||
          (where.pool !== null && given.pools.includes(where.pool)) ||
          (where.tenant !== null && given.tenants.includes(where.tenant));
        expect(covers(given, where)).toBe(isEverything(given) || named);
      }),
    );
  });

  test('with another name covers at least what it covered, unless it was everything', () => {
    fc.assert(
      fc.property(scope, name, place, (given, more, where) => {
        if (isEverything(given) || !covers(given, where)) return;
        expect(covers({ ...given, pools: [...given.pools, more] }, where)).toBe(true);
      }),
    );
  });

  test('is read aloud', () => {
    expect(scopeText(EVERYTHING)).toBe('everything');
    expect(scopeText({ apps: ['shop', 'blog'], pools: ['eu-1'], tenants: [] })).toBe(
      'apps shop, blog; pool eu-1',
    );
  });

  test('takes names and nothing that looks like more', () => {
    for (const bad of ['../x', '*', 'Shop', '', 'a b', 'a\u0000'])
      expect(AccessScope.safeParse({ apps: [bad] }).success, bad).toBe(false);
    expect(AccessScope.safeParse({ apps: ['shop'], hosts: ['x'] }).success).toBe(false);
  });

  test('of a deployer is apps and only apps; the others may have any', () => {
    fc.assert(
      fc.property(scope, fc.constantFrom(...Role.options), (given, role) => {
        const good =
          role !== 'deployer' || (given.apps.length > 0 && given.pools.length + given.tenants.length === 0);
        expect(scopeFault(role, given) === null).toBe(good);
      }),
    );
  });
});

test('each role may do what the ones before it may', () => {
  for (const [n, role] of Role.options.entries())
    for (const [m, needed] of Role.options.entries()) expect(mayDo(role, needed)).toBe(n >= m);
});

test('texts that people write have no characters that disguise them', () => {
  for (const bad of ['a\nb', 'a\u001b[2J', 'a\u0000', 'a\u009b', 'a\u202eb', 'a\u200b', 'a\u2028b', ''])
    expect(plainText(50).safeParse(bad).success, JSON.stringify(bad)).toBe(false);
  expect(plainText(50).safeParse('Größe: 漢字 🙂').success).toBe(true);
  expect(textLines(50).safeParse('a\r\n\tb: é 🙂').success).toBe(true);
  for (const bad of ['a\u0000', '\u001b[2J', '\u009b', '\u007f'])
    expect(textLines(50).safeParse(bad).success, JSON.stringify(bad)).toBe(false);
});
