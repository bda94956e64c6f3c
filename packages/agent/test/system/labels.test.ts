import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { containerFrom, exitCodeOf, healthOf, labelsOf } from '../../src/system/labels.ts';
import { planWith } from '../execute/plans.ts';

const none = (): number => 0;

describe('labels of a container', () => {
  test('go there and back without loss, whatever labels the service brings itself', () => {
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.oneof(
            fc.string(),
            fc.constantFrom(
              'berth.agent',
              'berth.tenant',
              'berth.virtual',
              'berth.role',
              'berth.command',
              'berth.volumes',
            ),
          ),
          fc.string(),
        ),
        fc.boolean(),
        fc.constantFrom('colour', 'keeper', 'release'),
        fc.nat({ max: 1_000_000 }),
        fc.boolean(),
        (own, routed, role, generation, migrates) => {
          const keeps = role === 'keeper';
          const plan = planWith(
            {
              labels: own,
              ...(keeps
                ? {
                    volumes: ['b', 'a', 'b'].map((volume, at) => ({
                      volume,
                      target: `/v${at}`,
                      readOnly: false,
                    })),
                  }
                : {}),
              ...(routed ? { route: { port: 8080, path: '/', health: '/' } } : {}),
            },
            {
              role,
              generation,
              ...(routed ? { virtual: '198.18.0.9' } : {}),
              ...(migrates ? { releaseKey: 'k1' } : {}),
            },
          );
          const entry = {
            id: 'c1',
            made: { names: [`/${plan.name}`], labels: labelsOf('a1', plan) },
            state: 'running',
            status: 'Up 3 seconds (healthy)',
          };
          expect(containerFrom('a1', entry, () => 2)).toEqual({
            id: 'c1',
            name: plan.name,
            tenant: 'acme',
            app: 'shop',
            release: 3,
            generation,
            service: 'web',
            replica: 1,
            role,
            specHash: 'abc',
            ...(migrates ? { releaseKey: 'k1' } : {}),
            ...(keeps ? { volumes: ['a', 'b'] } : {}),
            address: '198.19.0.10',
            virtual: routed ? '198.18.0.9' : null,
            port: routed ? 8080 : null,
            graceMs: 10_000,
            drainMs: 5_000,
            state: 'running',
            exitCode: null,
            health: 'healthy',
            deaths: 2,
          });
          expect(containerFrom('a2', entry, none)).toBeNull();
        },
      ),
    );
  });

  test.each([
    ['berth.agent', 'other'],
    ['berth.tenant', ''],
    ['berth.generation', '1.5'],
    ['berth.generation', '-1'],
    ['berth.generation', '1e3'],
    ['berth.role', 'master'],
    ['berth.address', '198.19.0.300'],
    ['berth.virtual', 'not an address'],
    ['berth.grace', 'NaN'],
  ])('that do not parse (%s = %j) make a container that is not ours', (name, value) => {
    const labels = { ...labelsOf('a1', planWith()), [name]: value };
    const entry = { id: 'c1', made: { names: ['/x'], labels }, state: 'running', status: 'Up 1 second' };
    expect(containerFrom('a1', entry, none)).toBeNull();
  });

  test('that are missing make a container that is not ours', () => {
    const whole = labelsOf('a1', planWith());
    for (const name of Object.keys(whole)) {
      const labels = Object.fromEntries(Object.entries(whole).filter(([key]) => key !== name));
      const entry = { id: 'c1', made: { names: ['/x'], labels }, state: 'running', status: 'Up 1 second' };
      expect(containerFrom('a1', entry, none), name).toBeNull();
    }
  });
});

describe('status text', () => {
  test.each([
    ['Up 3 seconds', 'none'],
    ['Up 3 seconds (healthy)', 'healthy'],
    ['Up About a minute (unhealthy)', 'unhealthy'],
    ['Up Less than a second (health: starting)', 'starting'],
    ['Up 2 hours (Paused)', 'none'],
  ])('%s', (status, health) => {
    expect(healthOf(status)).toBe(health);
  });

  test.each([
    ['exited', 'Exited (137) 2 minutes ago', 137],
    ['exited', 'Exited (0) Less than a second ago', 0],
    ['restarting', 'Restarting (1) 3 seconds ago', 1],
    ['running', 'Up 3 seconds', null],
    ['created', 'Created', null],
    ['dead', 'Dead', null],
  ] as const)('%s: %s', (state, status, code) => {
    expect(exitCodeOf(state, status)).toBe(code);
  });
});
