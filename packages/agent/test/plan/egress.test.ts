import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { egressFrom, egressText, unionOf, widest, type Egress } from '@berth/shared/domain/egress';
import type { DesiredTenant } from '@berth/shared/domain/desired';
import type { ObservedContainer } from '@berth/shared/domain/observed';
import { newStatus, type TenantStatus } from '@berth/shared/domain/status';
import { egressOf, withEgress } from '../../src/plan/egress.ts';
import type { TenantPlan } from '../../src/plan/input.ts';

const network = {
  tenant: 'acme',
  name: 'a-acme',
  bridge: 'bt-1',
  subnet: '198.19.0.64/26',
  gateway: '198.19.0.65',
};
const range = fc.tuple(fc.nat(0xffffffff), fc.integer({ min: 0, max: 32 })).map(([address, prefix]) => {
  const size = 2 ** (32 - prefix);
  const base = Math.floor(address / size) * size;
  return `${base >>> 24}.${(base >>> 16) & 255}.${(base >>> 8) & 255}.${base & 255}/${prefix}`;
});
const egress: fc.Arbitrary<Egress> = fc.oneof(
  fc.constantFrom('internet' as const, 'public' as const, 'none' as const),
  fc.array(range, { minLength: 1, maxLength: 20 }),
);
const addressIn = (text: string): ((address: number) => boolean) => {
  const [first = '', prefix] = text.split('/');
  const base = first.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  return (address) => address >= base && address < base + 2 ** (32 - Number(prefix));
};

describe('a policy', () => {
  test('is read back from its text', () => {
    fc.assert(
      fc.property(egress, (policy) => {
        const text = egressText(policy);
        expect(egressText(egressFrom(text) ?? 'none')).toBe(text);
      }),
    );
    for (const text of [
      '',
      'all',
      '10.0.0.0',
      '10.0.0.1/8',
      '10.0.0.0/8,',
      '::/0',
      'none,internet',
      '1.2.3.4/33',
    ])
      expect(egressFrom(text), text).toBeNull();
  });

  test('has ranges that never overlap and hold what they held', () => {
    fc.assert(
      fc.property(fc.array(range, { minLength: 1 }), fc.array(fc.nat(0xffffffff)), (ranges, addresses) => {
        const kept = widest(ranges);
        for (const a of kept)
          for (const b of kept)
            if (a !== b) expect(addressIn(a)(Number.NaN) || addressIn(b)(baseOf(a))).toBe(false);
        for (const address of addresses)
          expect(kept.some((each) => addressIn(each)(address))).toBe(
            ranges.some((each) => addressIn(each)(address)),
          );
      }),
    );
  });

  test('of two colours allows what either of them does', () => {
    const allows = (policy: Egress, address: number): boolean =>
      policy === 'internet' ||
      policy === 'public' ||
      (policy !== 'none' && policy.some((each) => addressIn(each)(address)));
    fc.assert(
      fc.property(
        fc.array(egress, { minLength: 1, maxLength: 3 }),
        fc.nat(0xffffffff),
        (policies, address) => {
          const union = unionOf(policies);
          for (const each of policies) if (allows(each, address)) expect(allows(union, address)).toBe(true);
        },
      ),
    );
    expect(unionOf(['none', 'none'])).toBe('none');
    expect(unionOf(['none', ['10.0.0.0/8']])).toEqual(['10.0.0.0/8']);
    expect(unionOf(['public', ['10.0.0.0/8']])).toBe('internet');
  });
});

function baseOf(text: string): number {
  return (text.split('/')[0] ?? '').split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

describe('the policy of a tenant', () => {
  const container = (generation: number, role: 'colour' | 'keeper', state: 'running' | 'exited') =>
    ({ generation, role, state }) as unknown as ObservedContainer;
  const desired = (generation: number, egress?: Egress, word?: Egress): DesiredTenant =>
    ({
      generation,
      spec: egress === undefined ? {} : { egress },
      ...(word === undefined ? {} : { egress: word }),
    }) as unknown as DesiredTenant;
  const moving = (live: number, known: DesiredTenant[]): TenantStatus => ({
    ...newStatus('acme'),
    live,
    known,
    move: { kind: 'idle' },
  });

  test('is that of what is desired when nothing moves', () => {
    expect(egressOf(desired(3, 'none'), moving(3, [desired(2, 'internet')]), [])).toBe('none');
    expect(egressOf(desired(3), undefined, [])).toBe('internet');
  });

  test('allows what either colour may reach while both run, and only then', () => {
    const old = desired(2, ['10.0.0.0/8']);
    const fresh = desired(3, ['192.0.2.0/24']);
    const both = [container(2, 'colour', 'running'), container(3, 'colour', 'running')];
    expect(egressOf(fresh, moving(2, [old]), both)).toEqual(['10.0.0.0/8', '192.0.2.0/24']);
    const switched = {
      ...moving(3, [old]),
      move: { kind: 'baking', from: 2, until: 9 },
    } as unknown as TenantStatus;
    expect(egressOf(fresh, switched, both)).toEqual(['10.0.0.0/8', '192.0.2.0/24']);
    const stopped = [container(2, 'colour', 'exited'), container(3, 'colour', 'running')];
    expect(egressOf(fresh, switched, stopped)).toEqual(['192.0.2.0/24']);
    // A database of an older generation does not keep that one's policy alive.
    const kept = [container(2, 'keeper', 'running'), container(3, 'colour', 'running')];
    expect(egressOf(fresh, switched, kept)).toEqual(['192.0.2.0/24']);
  });

  test('is an operator’s word alone, also in the middle of a move', () => {
    const both = [container(2, 'colour', 'running'), container(3, 'colour', 'running')];
    expect(egressOf(desired(3, 'internet', 'none'), moving(2, [desired(2, 'internet')]), both)).toBe('none');
  });
});

describe('a plan', () => {
  const plan: TenantPlan = {
    tenant: 'acme',
    goal: { kind: 'keep', generation: 1 },
    steps: [],
    nextAt: null,
    obstacle: null,
  };
  const from = { network, present: true };

  test('sets the policy first when another one holds, and then does nothing', () => {
    const made = withEgress(plan, 'none', from, new Map());
    expect(made.steps).toEqual([{ kind: 'network.ensure', tenant: 'acme', network, egress: 'none' }]);
    expect(withEgress(plan, 'none', from, new Map([['bt-1', 'none']])).steps).toEqual([]);
    const back = withEgress(plan, 'internet', from, new Map([['bt-1', 'none']]));
    expect(back.steps).toEqual([{ kind: 'network.ensure', tenant: 'acme', network }]);
  });

  test('makes a network with its policy, and leaves alone what nobody has looked at', () => {
    const making = { ...plan, steps: [{ kind: 'network.ensure' as const, tenant: 'acme', network }] };
    const made = withEgress(making, ['10.0.0.0/8'], { network, present: false }, new Map());
    expect(made.steps).toEqual([{ kind: 'network.ensure', tenant: 'acme', network, egress: ['10.0.0.0/8'] }]);
    expect(withEgress(plan, 'none', from, undefined)).toBe(plan);
  });
});
