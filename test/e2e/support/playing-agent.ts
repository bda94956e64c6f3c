import { createClient } from '@berth/shared/api/client';
import type { DesiredTenant } from '@berth/shared/domain/desired';
import type { Problem } from '@berth/shared/domain/step';
import type { ToAgent } from '@berth/shared/protocol/messages';
import type { StepView, TenantPhase } from '@berth/shared/protocol/report';
import { generateKeyPairSync } from 'node:crypto';
import { SimulatedAgent } from '../../fakes/simulated-agent.ts';

const STEPS: readonly [kind: string, title: string][] = [
  ['image.ensure', 'image shop:1'],
  ['containers.start', 'start web'],
  ['containers.probe', 'wait until web is healthy'],
  ['route.switch', 'switch the route'],
];

const PROBLEM: Problem = {
  code: 'health_failed',
  message: 'web did not become healthy: its check ended with 1',
  step: 'containers.probe',
  service: 'web',
  logTail: Array.from({ length: 10 }, (_, i) => `last words ${i + 1}`),
  at: 1,
};

/**
 * An enrolled host without containers: it plays what a real agent would report. A tenant whose web service has
 * FAIL_HEALTH=1 never becomes healthy, one with SHORT=1 waits for memory.
 */
export async function playingAgent(url: string, token: string) {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const admin = createClient({ url, token });
  const join = await admin.createJoinToken({ body: {} });
  const { host } = await admin.enrolHost({
    body: {
      token: join.token,
      publicKey: publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
      name: 'stage',
    },
  });
  let events = 0;
  const agent = new SimulatedAgent({
    url,
    host,
    privateKey: privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64'),
    onMessage: (message) => answer(message),
  });

  const event = (tenant: string, generation: number, kind: string, message: string, details = {}) => {
    events += 1;
    return { id: `${host}-${events}`, at: Date.now(), tenant, generation, kind, message, details };
  };
  const step = (tenant: string, generation: number, at: number, state: 'started' | 'done' | 'failed') => {
    const [kind, title] = STEPS[at] ?? ['drain', 'drain'];
    return event(tenant, generation, 'tenant.step', title, {
      step: kind,
      state,
      ms: state === 'started' ? null : 12,
    });
  };
  const report = (want: DesiredTenant, live: number | null, phase: TenantPhase, problem: Problem | null) => {
    const steps: StepView[] = STEPS.map(([kind, title], at) => ({
      kind,
      title,
      state: problem === null || at < 2 ? 'done' : at === 2 ? 'failed' : 'todo',
      startedAt: 1,
      ms: 12,
    }));
    const { tenant, generation } = want;
    return { tenant, generation, live, phase, at: Date.now(), steps, problem, retryAt: null, containers: [] };
  };

  const gone = (tenant: string, generation: number) => ({
    tenant,
    generation,
    live: null,
    phase: 'removed',
    at: Date.now(),
    steps: [],
    problem: null,
    retryAt: null,
    containers: [],
  });

  function answer(message: ToAgent): void {
    if (message.type === 'desired') {
      for (const want of message.tenants) play(want);
      for (const { tenant, generation, state } of message.tombstones) {
        if (state === 'proposed')
          agent.report({ removals: [{ tenant, generation, containers: [`${tenant}-web-1`] }] });
        else agent.report({ tenants: [gone(tenant, generation)] });
      }
    } else if (message.type === 'query') {
      const steps = STEPS.map(([kind, title]) => ({ kind, title, state: 'todo', startedAt: null, ms: null }));
      const lines = [
        { service: 'web', line: 'listening' },
        { service: 'web', line: '\u001b[31mred\u001b[0m' },
      ];
      const reply = message.question.kind === 'plan' ? { kind: 'plan', steps } : { kind: 'logs', lines };
      agent.send({ type: 'query.result', id: message.id, answer: reply });
    }
  }

  function play(want: DesiredTenant): void {
    const { tenant, generation } = want;
    const environment = want.spec.services.find((service) => service.name === 'web')?.environment ?? {};
    if (want.state === 'paused') {
      agent.report({
        events: [event(tenant, generation, 'tenant.paused', 'Paused.')],
        tenants: [report(want, null, 'paused', null)],
      });
      return;
    }
    const begun = [0, 1].flatMap((at) => [
      step(tenant, generation, at, 'started'),
      step(tenant, generation, at, 'done'),
    ]);
    if (environment['FAIL_HEALTH'] === '1') {
      const failed = [step(tenant, generation, 2, 'started'), step(tenant, generation, 2, 'failed')];
      agent.report({
        events: [
          ...begun,
          ...failed,
          event(tenant, generation, 'tenant.failed', PROBLEM.message, { problem: PROBLEM }),
        ],
        tenants: [report(want, generation > 1 ? generation - 1 : null, 'failed', PROBLEM)],
      });
      return;
    }
    const rest = [2, 3].flatMap((at) => [
      step(tenant, generation, at, 'started'),
      step(tenant, generation, at, 'done'),
    ]);
    agent.report({
      events: [
        ...begun,
        ...rest,
        event(tenant, generation, 'tenant.live', `Generation ${generation} serves.`),
      ],
      tenants: [report(want, generation, 'settled', null)],
    });
  }

  await agent.online();
  return { host, close: () => agent.close() };
}
