import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { stateDigest, type DesiredState } from '@berth/shared/domain/desired';
import { accept, type Assembled } from '../../src/desired/accept.ts';
import { digestOfState } from '../../src/state/digests.ts';
import { desired, tenant, tombstone } from '../state/samples.ts';

/** The full snapshot of a state, as a coordinator sends it. */
function snapshot(state: DesiredState): Assembled {
  return {
    epoch: state.epoch,
    revision: state.revision,
    base: null,
    digest: stateDigest(state),
    tenants: Object.values(state.tenants),
    tombstones: Object.values(state.tombstones),
    forget: [],
  };
}

/** The change from one state to another. */
function change(from: DesiredState, to: DesiredState): Assembled {
  const gone = [...Object.keys(from.tenants), ...Object.keys(from.tombstones)].filter(
    (name) => !Object.hasOwn(to.tenants, name) && !Object.hasOwn(to.tombstones, name),
  );
  return { ...snapshot(to), base: from.revision, forget: gone };
}

const before = desired(5, [tenant('acme', 2), tenant('globex')], [tombstone('hooli')]);

describe('what is older is refused', () => {
  test.each([
    ['an older epoch', { ...snapshot(desired(9, [tenant('acme', 2)], [], 0)) }, 'stale_epoch'],
    ['an older revision', snapshot(desired(4, [tenant('acme', 2)])), 'stale_revision'],
    ['the same revision with another content', snapshot(desired(5, [tenant('acme', 3)])), 'stale_revision'],
    [
      'a removal of an older generation than the one that is desired',
      change(before, desired(6, [tenant('globex')], [tombstone('acme', 1), tombstone('hooli')])),
      'stale_revision',
    ],
    ['a change over another revision', { ...change(before, desired(6, [])), base: 4 }, 'gap'],
    ['a new epoch that comes as a change', change(before, desired(6, [tenant('acme', 2)], [], 2)), 'gap'],
    [
      'a digest that does not fit',
      { ...change(before, desired(6, [])), digest: 'f'.repeat(64) },
      'digest_mismatch',
    ],
  ] as const)('%s', (_name, offered, reason) => {
    const verdict = accept(before, offered);
    expect(verdict).toMatchObject({ kind: 'rejected', reason });
    expect(verdict.kind === 'rejected' && verdict.message).toMatch(/\d/);
  });
});

test('a tenant may be taken back to an earlier generation, but not one that was told to go', () => {
  const back = desired(6, [tenant('acme', 1), tenant('globex')], [tombstone('hooli')]);
  expect(accept(before, change(before, back))).toMatchObject({ kind: 'accepted', changed: ['acme'] });
  const gone = desired(5, [tenant('globex')], [tombstone('acme', 2)]);
  expect(accept(gone, change(gone, desired(6, [tenant('acme', 1), tenant('globex')])))).toMatchObject({
    kind: 'rejected',
    reason: 'stale_revision',
  });
});

test('the same state again is a repeat, not an error', () => {
  expect(accept(before, snapshot(before))).toEqual({ kind: 'repeated' });
});

test('the same revision may be taken again by a host that lost a file of it', () => {
  const { acme, ...rest } = before.tenants;
  expect(acme).toBeDefined();
  const torn = { ...before, tenants: rest };
  expect(accept(torn, snapshot(before), false)).toMatchObject({ kind: 'rejected', reason: 'stale_revision' });
  expect(accept(torn, snapshot(before), true)).toMatchObject({
    kind: 'accepted',
    changed: ['acme'],
    orphans: [],
  });
  const older = snapshot(desired(4, [tenant('acme', 2)]));
  expect(accept(torn, older, true)).toMatchObject({ kind: 'rejected', reason: 'stale_revision' });
});

test('a new epoch may begin with any revision and take generations back', () => {
  const restored = desired(2, [tenant('acme', 1), tenant('globex')], [tombstone('hooli')], 2);
  expect(accept(before, snapshot(restored))).toMatchObject({
    kind: 'accepted',
    next: restored,
    changed: ['acme'],
  });
});

test('a tenant called constructor is a tenant like any other', () => {
  const next = desired(6, [tenant('constructor')]);
  expect(accept(desired(5, []), snapshot(next))).toMatchObject({
    kind: 'accepted',
    changed: ['constructor'],
  });
});

const names = ['acme', 'globex', 'initech', 'constructor'];
const anyState = (revision: number) =>
  fc
    .array(fc.constantFrom('none', 'tenant', 'proposed', 'confirmed'), { minLength: 4, maxLength: 4 })
    .map((kinds) =>
      desired(
        revision,
        kinds.flatMap((kind, index) => (kind === 'tenant' ? [tenant(names[index] ?? '', revision)] : [])),
        kinds.flatMap((kind, index) =>
          kind === 'proposed' || kind === 'confirmed' ? [tombstone(names[index] ?? '', revision, kind)] : [],
        ),
      ),
    );

test('whatever is accepted is what was meant, and absence buries nobody', () => {
  fc.assert(
    fc.property(anyState(3), anyState(4), fc.boolean(), (from, to, full) => {
      const verdict = accept(from, full ? snapshot(to) : change(from, to));
      expect(verdict.kind).toBe('accepted');
      if (verdict.kind !== 'accepted') return;
      expect(verdict.next).toEqual(to);
      const missing = Object.keys(from.tenants).filter(
        (name) => !Object.hasOwn(to.tenants, name) && !Object.hasOwn(to.tombstones, name),
      );
      expect(verdict.orphans.sort()).toEqual(missing.sort());
      for (const name of missing) expect(Object.hasOwn(verdict.next.tombstones, name)).toBe(false);
      for (const name of verdict.orphans) expect(verdict.changed).toContain(name);
    }),
    { verbose: 1 },
  );
});

test('once taken, the same message and every one before it do no more', () => {
  fc.assert(
    fc.property(anyState(3), anyState(4), anyState(5), (one, two, three) => {
      const first = accept(one, change(one, two));
      if (first.kind !== 'accepted') throw new Error(first.kind);
      const second = accept(first.next, change(two, three));
      if (second.kind !== 'accepted') throw new Error(second.kind);
      expect(accept(second.next, change(two, three)).kind).toBe('repeated');
      for (const replay of [change(one, two), snapshot(two), snapshot(one)])
        expect(accept(second.next, replay)).toMatchObject({ kind: 'rejected', reason: 'stale_revision' });
    }),
    { verbose: 1 },
  );
});

test('the remembered digests are those of the protocol', () => {
  fc.assert(
    fc.property(anyState(3), (state) => {
      expect(digestOfState(state)).toBe(stateDigest(state));
      expect(digestOfState(state)).toBe(stateDigest(state));
    }),
    { verbose: 1 },
  );
});
