import { describe, expect, test } from 'vitest';
import { ERROR_CODES } from '@berth/shared/domain/errors';
import { TenantPhase } from '@berth/shared/protocol/report';
import { explain, type ExplainInput } from '../../src/services/explain.ts';
import type { HostView, TenantView } from '../../src/services/records.ts';
import { GIB, hostId, record, report } from '../support/samples.ts';

const NOW = 1_000_000;

function host(given: Partial<HostView> = {}): HostView {
  return {
    host: hostId(1),
    name: 'host-1',
    publicKey: 'key',
    pool: 'default',
    scheduling: 'open',
    connection: 'online',
    lastSeenAt: NOW - 40_000,
    agentVersion: '0.1.0',
    memoryBytes: 8 * GIB,
    cpus: 4,
    ingress: null,
    facts: {},
    report: null,
    revision: 5,
    ackedEpoch: 1,
    ackedRevision: 5,
    createdAt: 1,
    tenants: 1,
    reservedMemory: 0,
    reservedCpus: 0,
    largestSurge: 0,
    dedicatedTo: null,
    ...given,
  };
}

function input(given: Partial<ExplainInput> = {}): ExplainInput {
  const told = given.report === undefined ? report('acme') : given.report;
  const of = given.host ?? host();
  const tenant: TenantView = {
    ...record('acme'),
    hostName: of.name,
    connection: of.connection,
    ingress: null,
    reported: told === null ? null : told,
  };
  return {
    tenant,
    host: of,
    report: told,
    attempt: null,
    epoch: { epoch: 1, mode: 'apply', reason: null },
    now: NOW,
    ...given,
  };
}

const problem = (code: (typeof ERROR_CODES)[number], service: string | null = 'web') => ({
  code,
  message: 'It did not work.',
  step: 'containers.probe',
  service,
  logTail: ['last words'],
  at: NOW,
});

describe('explain', () => {
  test('says that all is well when it is', () => {
    expect(explain(input())).toMatchObject({
      verdict: 'acme runs: generation 1 serves and nothing is left to do.',
      phase: 'settled',
      freshness: 'current',
      advice: [],
    });
  });

  test('says first of all that the host is offline, since when, and that containers go on', () => {
    const answer = explain(input({ host: host({ connection: 'offline' }) }));
    expect(answer.verdict).toContain(
      'Host host-1 is offline (last heard of 40 s ago), so nothing about acme can change now',
    );
    expect(answer.verdict).toContain('generation 1 served when it was last heard of');
    expect(answer.freshness).toBe('stale');
    expect(answer.advice[0]).toContain('berth host show');
  });

  test('tells a host that has never connected from one that is offline', () => {
    const answer = explain(
      input({ host: host({ connection: 'never-seen', lastSeenAt: null }), report: null }),
    );
    expect(answer.verdict).toContain('has never connected');
    expect(answer.phase).toBe('waiting');
  });

  test('says that the coordinator only observes, and why', () => {
    const epoch = { epoch: 2, mode: 'observe' as const, reason: 'host-1 knows more' };
    expect(explain(input({ epoch })).verdict).toContain('only observes (host-1 knows more)');
  });

  test('says that the newest revision was not acknowledged yet', () => {
    const answer = explain(input({ host: host({ revision: 7 }), report: null }));
    expect(answer.verdict).toContain('revision 7, acknowledged 5');
  });

  test('takes a report of an earlier generation for no word on this one', () => {
    const old = report('acme', { generation: 1, phase: 'settled' });
    const answer = explain({
      ...input({ report: old }),
      tenant: { ...input({ report: old }).tenant, generation: 2 },
    });
    expect(answer.phase).toBe('waiting');
    expect(answer.verdict).toContain('waits for the first report of generation 2');
    expect(answer.live).toBe(1);
  });

  test('names step, service, message and what still serves of a failure', () => {
    const failed = report('acme', { phase: 'failed', live: null, problem: problem('health_failed') });
    const answer = explain(input({ report: failed }));
    expect(answer.verdict).toBe(
      'Generation 1 of acme failed at step containers.probe, service web: It did not work. Nothing serves.',
    );
    expect(answer.advice.join(' ')).toContain('health check never passed');
    expect(answer.problem?.logTail).toEqual(['last words']);
  });

  test('speaks of a generation before only when there is one', () => {
    const container = {
      id: 'c',
      name: 'web-1',
      service: 'web',
      replica: 1,
      generation: 1,
      role: 'colour' as const,
      state: 'exited',
      health: 'none' as const,
      address: '10.0.0.2',
    };
    const baking = report('acme', { phase: 'baking', containers: [container] });
    expect(explain(input({ report: baking })).verdict).toBe(
      'acme runs: generation 1 serves; it is settled once its bake time has passed.',
    );
    const second = { ...input({ report: { ...baking, generation: 2, live: 2 } }) };
    expect(explain({ ...second, tenant: { ...second.tenant, generation: 2 } }).verdict).toContain(
      'the one before is kept for instant return',
    );
    const returning = report('acme', { phase: 'returning', problem: problem('crash_loop') });
    expect(explain(input({ report: returning })).verdict).toContain('There is none before it');
  });

  test('points at log lines only when there are some', () => {
    const silent: ReturnType<typeof problem> = { ...problem('health_failed'), logTail: [] };
    const advice = (of: typeof silent): string =>
      explain(input({ report: report('acme', { phase: 'failed', live: null, problem: of }) })).advice.join(
        ' ',
      );
    expect(advice(problem('health_failed'))).toContain('Look at the log lines of web below');
    expect(advice(silent)).toContain('web left no log lines');
    expect(advice({ ...silent, code: 'release_command_failed' })).toContain('left no log lines');
  });

  test('does not call a generation failed that serves', () => {
    const troubled = report('acme', { phase: 'failed', live: 1, problem: problem('crash_loop') });
    expect(explain(input({ report: troubled })).verdict).toContain(
      'Generation 1 of acme serves, but something is wrong at step containers.probe',
    );
  });

  test('says when a failed tenant that nothing serves is tried again', () => {
    const failed = report('acme', {
      phase: 'failed',
      live: null,
      problem: problem('health_failed'),
      retryAt: NOW + 4000,
    });
    expect(explain(input({ report: failed })).verdict).toContain('Nothing serves. It is tried again in 4 s.');
  });

  test('says when a blocked tenant is tried again', () => {
    const blocked = report('acme', {
      phase: 'blocked',
      problem: problem('memory_short', null),
      retryAt: NOW + 12_500,
    });
    const answer = explain(input({ report: blocked }));
    expect(answer.verdict).toContain('It is tried again in 13 s.');
    expect(answer.advice[0]).toContain('Free memory on host-1');
  });

  test('has a verdict for every phase and advice for every problem', () => {
    for (const phase of TenantPhase.options) {
      const answer = explain(input({ report: report('acme', { phase, problem: problem('internal') }) }));
      expect(answer.verdict).toMatch(/acme/);
      expect(answer.verdict).toMatch(/\.$/);
    }
    for (const code of ERROR_CODES) {
      const answer = explain(input({ report: report('acme', { phase: 'failed', problem: problem(code) }) }));
      expect(answer.advice.length, code).toBeGreaterThan(0);
    }
  });
});
