import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { asPut, changesBetween, effectOf } from '../../src/services/diff.ts';
import { needOf } from '../../src/services/need.ts';
import { desired, MIB, service, spec } from '../support/samples.ts';

const environment = fc.dictionary(fc.constantFrom('A', 'B', 'C.D'), fc.string(), { maxKeys: 3 });

describe('the difference between two desired states', () => {
  test('is empty exactly when they are the same, and names each leaf that is not', () => {
    fc.assert(
      fc.property(environment, environment, (before, after) => {
        const old = desired('acme', { spec: spec([service('web', { environment: before })]) });
        const fresh = desired('acme', { spec: spec([service('web', { environment: after })]) });
        const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
        const differing = names.filter((name) => before[name] !== after[name]).sort();
        const changes = changesBetween(old, fresh);
        expect(changes.map((change) => change.path)).toEqual(
          differing.map((name) => `services.web.environment.${name}`),
        );
        for (const change of changes) {
          const name = change.path.slice('services.web.environment.'.length);
          expect(change).toMatchObject({ before: before[name] ?? null, after: after[name] ?? null });
        }
        expect(effectOf(old, fresh)).toBe(differing.length === 0 ? 'none' : 'new-generation');
      }),
    );
  });

  test('of secrets says which version is where, and is a new generation', () => {
    const withVersion = (version: number) => {
      const ref = { name: 'KEY', version, id: `${version}`.repeat(16) };
      const file = { ...ref, target: '/run/secrets/key', uid: 0, gid: 0, mode: '0444' };
      return desired('acme', { spec: spec([service('web', { secrets: [file], secretEnv: { K: ref } })]) });
    };
    expect(effectOf(withVersion(1), withVersion(2))).toBe('new-generation');
    expect(changesBetween(withVersion(1), withVersion(2))).toEqual([
      { path: 'services.web.secretEnv.K', before: 'KEY version 1', after: 'KEY version 2' },
      {
        path: 'services.web.secrets./run/secrets/key',
        before: 'KEY version 1, 0444, 0:0',
        after: 'KEY version 2, 0444, 0:0',
      },
    ]);
  });

  test('of domains alone moves routes only', () => {
    const before = desired('acme');
    const after = desired('acme', { domains: ['other.example.com'] });
    expect(effectOf(before, after)).toBe('routes-only');
    expect(changesBetween(before, after)).toEqual([
      { path: 'domains', before: '["acme.example.com"]', after: '["other.example.com"]' },
    ]);
  });

  test('of releases is a new generation even when the services are the same', () => {
    expect(effectOf(desired('acme'), desired('acme', { release: 2 }))).toBe('new-generation');
  });

  test('of the time to bake alone is none: a rollout sets its own', () => {
    const before = desired('acme', { spec: { ...spec(), bakeMs: 120_000 } });
    const after = desired('acme', { domains: ['other.example.com'] });
    expect(effectOf(before, desired('acme'))).toBe('none');
    expect(effectOf(before, after)).toBe('routes-only');
    // Nobody has changed it: the rollout that brought the tenant here had a time of its own.
    expect(changesBetween(before, desired('acme'))).toEqual([]);
    expect(changesBetween(before, after).map(({ path }) => path)).toEqual(['domains']);
    expect(asPut('routes-only', before, after)).toEqual({ ...before, domains: after.domains });
    expect(asPut('new-generation', before, after)).toBe(after);
  });

  test('shows the release beside its release command', () => {
    const release = { service: 'web', command: ['/app/migrate'], timeoutMs: 60_000, irreversible: false };
    const changes = changesBetween(
      desired('acme', { release: 1, spec: { ...spec(), release } }),
      desired('acme', { release: 2, spec: { ...spec(), release: { ...release, timeoutMs: 90_000 } } }),
    );
    expect(changes).toEqual([
      { path: 'release', before: '1', after: '2' },
      { path: 'release.timeoutMs', before: '60000', after: '90000' },
    ]);
  });

  test('shows a service that comes and one that goes', () => {
    const paths = changesBetween(
      desired('acme', { spec: spec([service('web'), service('old')]) }),
      desired('acme', { spec: spec([service('web'), service('new')]) }),
    ).map((change) => change.path);
    expect(paths).toContain('services.new.image');
    expect(paths).toContain('services.old.image');
    expect(paths.some((path) => path.startsWith('services.web'))).toBe(false);
  });
});

describe('what a tenant needs', () => {
  test('counts every replica, and a second colour only where two run side by side', () => {
    const reservation = { memoryBytes: 100 * MIB, cpus: 0.1 };
    const need = needOf(
      spec([
        service('web', { reservation, replicas: 3 }),
        service('db', { reservation, strategy: 'in-place' }),
        service('cron', { reservation, strategy: 'recreate' }),
      ]),
    );
    expect(need).toEqual({ memoryBytes: 500 * MIB, cpus: 0.5, surgeBytes: 300 * MIB });
  });
});
