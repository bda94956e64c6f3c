import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bindingFor, type Meeting } from '../../src/enrolment/binding.ts';

const first: Meeting = { instance: 'i-a', bound: null, keyOf: null, pool: 'prod', at: 1000 };
const bound = { host: 'h_a', presence: 'present', pool: 'prod', reenrolUntil: null } as const;

describe('a key and an instance', () => {
  test('that nobody knows go together from now on', () => {
    expect(bindingFor(first)).toEqual({ kind: 'new' });
    const again = { ...first, bound, keyOf: { host: 'h_a', instance: 'i-a' } };
    expect(bindingFor(again)).toEqual({ kind: 'same', host: 'h_a' });
  });

  test('of two machines are a clone, and both are named', () => {
    const clone = bindingFor({ ...first, keyOf: { host: 'h_b', instance: 'i-b' } });
    expect(clone).toMatchObject({ kind: 'clone', host: 'h_b', other: 'i-b' });
    expect('why' in clone && clone.why).toBe(
      'i-a came with the key of host h_b, which is i-b: its disk is a copy',
    );
  });

  test('a second key for an instance waits for an operator, and not longer than that', () => {
    expect(bindingFor({ ...first, bound })).toMatchObject({ kind: 'clone', host: 'h_a', other: 'i-a' });
    const open = { ...bound, reenrolUntil: 2000 };
    expect(bindingFor({ ...first, bound: open })).toEqual({ kind: 'rebind', host: 'h_a' });
    expect(bindingFor({ ...first, bound: open, at: 2000 })).toMatchObject({ kind: 'clone' });
    expect(bindingFor({ ...first, bound: open, pool: 'other' })).toMatchObject({ kind: 'refused' });
  });

  test('of a host that was removed, or that has a token, do not come by this way', () => {
    expect(
      bindingFor({ ...first, bound: { ...bound, presence: 'removed', reenrolUntil: 2000 } }),
    ).toMatchObject({
      kind: 'refused',
    });
    expect(bindingFor({ ...first, keyOf: { host: 'h_t', instance: null } })).toMatchObject({
      kind: 'refused',
    });
  });

  test('never become the key of an instance that is bound, unless an operator opened it', () => {
    const instance = fc.constantFrom('i-a', 'i-b');
    const host = fc.constantFrom('h_a', 'h_b');
    fc.assert(
      fc.property(
        instance,
        fc.option(
          fc.record({
            host,
            presence: fc.constantFrom('present' as const, 'removed' as const),
            pool: fc.constantFrom('prod', 'other'),
            reenrolUntil: fc.option(fc.nat(2000)),
          }),
        ),
        fc.option(fc.record({ host, instance: fc.option(instance) })),
        fc.nat(2000),
        (of, known, keyOf, at) => {
          const meeting: Meeting = { instance: of, bound: known, keyOf, pool: 'prod', at };
          const { kind } = bindingFor(meeting);
          if (kind === 'new') expect([known, keyOf]).toEqual([null, null]);
          if (kind === 'same') expect(keyOf?.instance).toBe(of);
          if (kind === 'rebind') {
            expect(keyOf).toBeNull();
            expect(known?.presence).toBe('present');
            expect(known?.reenrolUntil ?? 0).toBeGreaterThan(at);
          }
        },
      ),
    );
  });
});
