import type { TenantExplain, TenantPlan } from '@berth/shared/api/schemas';
import { expect, test } from 'vitest';
import { headline } from '../src/commands/deploy.ts';
import { explainView } from '../src/commands/explain-view.ts';
import { phaseText } from '../src/commands/phase.ts';
import { planView } from '../src/commands/plan-view.ts';
import { statusLines } from '../src/local/live.ts';
import { styleOf } from '../src/output/style.ts';
import { tenantView } from './support/fake-coordinator.ts';

const output = { style: styleOf('off') };

const explained: TenantExplain = {
  tenant: 'acme',
  verdict: 'Generation 2 of acme failed.',
  phase: 'failed',
  host: { host: 'h_0123456789abcdef', name: 'box', state: 'online', lastSeenAt: 1 },
  generation: 2,
  live: 1,
  freshness: 'current',
  steps: [
    { kind: 'image.ensure', title: 'image shop:2', state: 'done', startedAt: 1, ms: 300 },
    { kind: 'containers.probe', title: 'wait until web is healthy', state: 'failed', startedAt: 2, ms: 9000 },
    { kind: 'route.switch', title: 'switch the route', state: 'todo', startedAt: null, ms: null },
  ],
  problem: {
    code: 'health_failed',
    message: 'web never became healthy: exit code 1',
    step: 'containers.probe',
    service: 'web',
    logTail: ['first', 'last \u001b[2J'],
    at: 0,
  },
  retryAt: null,
  containers: [],
  attempt: null,
  advice: ['Look at its log.'],
};

test('an explanation says the verdict first, the blocked step and its reason, and ends with the last log lines', () => {
  const text = explainView(explained, output, 5000);
  const lines = text.split('\n');
  expect(lines[0]).toBe('Generation 2 of acme failed.');
  expect(text).toContain('failed at containers.probe (web), 5.0 s ago:');
  expect(text).toContain('web never became healthy: exit code 1 [health_failed]');
  expect(text).toContain('  ✓ image shop:2 0.3 s\n  ✗ wait until web is healthy 9.0 s\n  · switch the route');
  expect(text).toContain('  - Look at its log.');
  expect(lines.slice(-3)).toEqual(['last log lines', '  │ first', '  │ last ']);
});

test('an explanation tells of a rollout that tried in vain, what became of it, and where there is more', () => {
  const attempt = { rollout: 7, release: 13, at: 50_520_000, reason: 'web never became healthy' };
  const text = (became: 'taken-back' | 'returning' | 'not-begun' | 'stays' | 'stuck') =>
    explainView({ ...explained, attempt: { ...attempt, became } }, output, 60_000_000);
  expect(text('taken-back')).toContain(
    '\n\nrollout 7 tried release 13 at 1970-01-01 14:02:00 and took it back: web never became healthy\n  more: berth rollout status 7\n',
  );
  expect(text('returning')).toContain('rollout 7 tried release 13 and takes it back since 1970');
  expect(text('not-begun')).toContain('rollout 7 could not begin release 13 at');
  expect(text('stays')).toContain('failed at 1970-01-01 14:02:00 and was not taken back: web');
  expect(text('stuck')).toContain('rollout 7 tried release 13 and could not take it back at');
});

test('steps that were done after a failure are the way back, when there was one', () => {
  const steps = explained.steps.map((step) => ({ ...step, state: 'done' as const }));
  expect(explainView({ ...explained, steps }, output, 5000)).toContain('\nsteps of the way back\n');
  const serves = explainView({ ...explained, steps, live: 2 }, output, 5000);
  expect(serves).toContain('\nsteps\n');
  expect(serves).toContain('trouble at containers.probe (web)');
});

test('what is blocked says since when and when it was last tried', () => {
  const blocked: TenantExplain = { ...explained, phase: 'blocked' };
  const problem = { ...explained.problem!, at: 60_000 };
  const text = explainView({ ...blocked, problem }, output, 65_000, 5000);
  expect(text).toContain('blocked at containers.probe (web), for 60 s, last tried 5.0 s ago:');
  expect(explainView({ ...blocked, problem }, output, 65_000, 60_000)).toContain('(web), 5.0 s ago:');
});

test('a container that Docker has not checked yet is explained, when it serves', () => {
  const container = {
    id: 'c',
    name: 'x-web-1',
    service: 'web',
    replica: 1,
    generation: 2,
    role: 'colour' as const,
    state: 'running',
    health: 'starting' as const,
    address: '10.0.0.2',
  };
  const live: TenantExplain = {
    ...explained,
    phase: 'baking',
    problem: null,
    live: 2,
    containers: [container],
  };
  expect(explainView(live, output, 5000)).toContain("starting: passed Berth's own check");
  expect(explainView(live, output, 5000)).toContain('2 live, live (baking)');
  expect(explainView({ ...live, live: 1 }, output, 5000)).not.toContain('starting: passed');
});

test('how a deploy ended says what serves now, and nothing that is not so', () => {
  const changed = { generation: 2 };
  const of = (
    outcome: 'failed' | 'returned' | 'blocked' | 'timeout',
    live: number | null | undefined,
  ): string =>
    headline({ outcome, ms: 1000 }, changed, live === undefined ? undefined : { live, state: 'running' });
  expect(of('failed', 1)).toBe('generation 2 failed after 1.0 s; generation 1 still serves');
  expect(of('failed', null)).toBe(
    'generation 2 failed after 1.0 s; nothing serves, since nothing did before; the host tries it again',
  );
  expect(of('failed', undefined)).toBe(
    'generation 2 failed after 1.0 s; what served before is left as it was',
  );
  expect(of('returned', 1)).toBe('generation 2 went bad after the switch; generation 1 serves again (1.0 s)');
  expect(of('blocked', 1)).toContain('generation 1 still serves. The host goes on trying');
  expect(of('timeout', 1)).toBe('not done after 1.0 s; the host goes on trying');
});

test('an offline host and a retry are said', () => {
  const text = explainView(
    {
      ...explained,
      freshness: 'stale',
      retryAt: 65_000,
      host: { ...explained.host, state: 'offline', lastSeenAt: 0 },
    },
    output,
    5000,
  );
  expect(text).toContain('host box: offline, seen 5.0 s ago');
  expect(text).toContain('last word before the host went away');
  expect(text).toContain('tried again in 60 s');
});

const plan: TenantPlan = {
  tenant: 'acme',
  effect: 'new-generation',
  fromGeneration: 1,
  toGeneration: 2,
  changes: [{ path: 'services.web.environment.GREETING', before: null, after: 'hi\nthere' }],
  warnings: [],
  steps: [{ kind: 'image.ensure', title: 'image shop:1', state: 'todo', startedAt: null, ms: null }],
  stepsFrom: 'agent',
};

test('a plan shows each change before and after, and the steps in order', () => {
  const text = planView(plan, output);
  expect(text).toContain('  web environment GREETING: (unset) → hi\\nthere');
  expect(text).toContain('Generation 1 → 2');
  expect(text).toContain('  1. image shop:1');
});

test('a plan for a paused tenant does not speak of what serves', () => {
  expect(planView(plan, output, 'paused')).toContain(
    'Generation 1 → 2, once it is resumed; it stays paused.',
  );
  expect(planView({ ...plan, effect: 'routes-only' }, output, 'paused')).toContain('it stays paused');
});

test('a warning about something that is in no file has no line and column', () => {
  const warnings = [{ line: 0, column: 0, path: 'variables.TYPO', message: 'is not used' }];
  expect(planView({ ...plan, warnings }, output)).toContain('warning: variables.TYPO: is not used');
});

test('a plan without effect and one of an offline host say so', () => {
  expect(planView({ ...plan, effect: 'none', changes: [], steps: [] }, output)).toBe('Nothing would change.');
  expect(planView({ ...plan, effect: 'none', steps: [] }, output)).not.toContain('Nothing would change.');
  expect(planView({ ...plan, steps: [], stepsFrom: 'unavailable' }, output)).toContain('the host is offline');
  const without = (why: 'offline' | 'refused', message: string): string =>
    planView({ ...plan, steps: [], stepsFrom: 'unavailable', stepsMissing: { why, message } }, output);
  expect(without('offline', 'The host is offline.')).toContain('not known: The host is offline.');
  expect(without('refused', 'It is not signed.')).toContain('It would be refused: It is not signed.');
  expect(without('refused', 'It is not signed.')).not.toContain('offline');
  expect(planView({ ...plan, effect: 'routes-only' }, output)).toContain('no container is touched');
});

test('a tenant of an offline host is never shown as if it were known to run', () => {
  expect(phaseText(tenantView({ phase: 'settled' }), output.style)).toBe('settled');
  expect(phaseText(tenantView({ phase: 'settled', freshness: 'stale' }), output.style)).toBe(
    'settled (host offline)',
  );
});

test('the live status names each tenant with its problem', () => {
  const status = {
    version: '1',
    epoch: 1,
    mode: 'apply' as const,
    modeReason: null,
    store: 'sqlite' as const,
    startedAt: 0,
    apps: 1,
    hosts: { total: 1, online: 1 },
    tenants: { total: 1, settled: 0, moving: 0, failed: 1, blocked: 0, paused: 0 },
    lastEvent: 1,
  };
  const lines = statusLines(status, [tenantView({ phase: 'failed', problem: explained.problem })]);
  expect(lines).toEqual([
    '1/1 hosts online, 1 tenant, 0 settled, 1 failed',
    'acme g2 failed: web never became healthy: exit code 1',
  ]);
});
