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
