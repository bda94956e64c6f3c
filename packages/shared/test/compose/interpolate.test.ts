import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { escapeDollars, evaluate, parseInterpolation } from '../../src/compose/interpolate.ts';

function run(text: string, variables: Record<string, string> = {}): string {
  const parsed = parseInterpolation(text);
  if (!parsed.ok) return `bad: ${parsed.message}`;
  const done = evaluate(parsed.parts, (name) => variables[name]);
  if (done.missing.length > 0)
    return `missing: ${done.missing.map((one) => `${one.name} ${one.message}`).join()}`;
  return done.text;
}

describe('interpolation', () => {
  it.each([
    // text, value of A (undefined: unset), result
    ['$A', 'x', 'x'],
    ['${A}', 'x', 'x'],
    ['a${A}b$A.c', 'x', 'axbx.c'],
    ['$A', undefined, ''],
    ['${A:-d}', undefined, 'd'],
    ['${A:-d}', '', 'd'],
    ['${A:-d}', 'x', 'x'],
    ['${A-d}', undefined, 'd'],
    ['${A-d}', '', ''],
    ['${A:-}', undefined, ''],
    ['${A:+r}', 'x', 'r'],
    ['${A:+r}', '', ''],
    ['${A:+r}', undefined, ''],
    ['${A+r}', '', 'r'],
    ['${A+r}', undefined, ''],
    ['${A:?need it}', undefined, 'missing: A need it'],
    ['${A:?need it}', '', 'missing: A need it'],
    ['${A?need it}', '', ''],
    ['${A?}', undefined, 'missing: A '],
    ['${A:-${B:-deep}}', undefined, 'deep'],
    ['${A:-${B:-deep}}', 'x', 'x'],
    ['${A:-${B:?no b}}', undefined, 'missing: B no b'],
    ['${A:-${B:?no b}}', 'x', 'x'],
    ['${A:-a-b:?c}', undefined, 'a-b:?c'],
    ['${A:-{"k":{"l":1}}}', undefined, '{"k":{"l":1}}'],
    ['${A:-$$x}', undefined, '$x'],
    ['$$A', 'x', '$A'],
    ['$${A}', 'x', '${A}'],
    ['$$$A', 'x', '$x'],
    ['costs $5 and $', 'x', 'costs $5 and $'],
    ['$1', 'x', '$1'],
    ['$A_B', 'x', ''],
  ])('%s with A = %s gives %s', (text, a, expected) => {
    expect(run(text, a === undefined ? {} : { A: a })).toBe(expected);
  });

  it.each(['${', '${A', '${}', '${1}', '${A B}', '${A:x}', '${A:-${}}', '${-x}'])(
    '%s is refused with a sentence',
    (text) => {
      expect(run(text)).toMatch(/^bad: .*write `\$\$` for a dollar sign$/);
    },
  );

  it('refuses variables that are nested without end', () => {
    expect(run(`${'${A:-'.repeat(40)}${'}'.repeat(40)}`)).toBe('bad: variables are nested too deep');
  });

  it('does not fill in again what a variable brought', () => {
    expect(run('$A', { A: '${B}', B: 'no' })).toBe('${B}');
  });

  it('gives any text back when its dollars are doubled', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('$', '{', '}', 'A', ':', '-', '?', ' ', 'é') }),
        (text) => {
          expect(run(escapeDollars(text), { A: 'x' })).toBe(text);
        },
      ),
    );
  });

  it('gives the value of a variable for every way of writing it', () => {
    fc.assert(
      fc.property(
        fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,10}$/),
        fc.string({ minLength: 1 }),
        (name, value) => {
          for (const text of [
            `$${name}`,
            `\${${name}}`,
            `\${${name}:-d}`,
            `\${${name}?m}`,
            `\${${name}:+\${${name}}}`,
          ]) {
            expect(run(text, { [name]: value })).toBe(value);
          }
        },
      ),
    );
  });

  it('never throws', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('$', '{', '}', 'A', ':', '-', '?', '+'), maxLength: 200 }),
        (text) => {
          expect(typeof run(text, { A: 'x' })).toBe('string');
        },
      ),
    );
  });
});
