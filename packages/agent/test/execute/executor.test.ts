import { expect, test } from 'vitest';
import type { Step } from '@berth/shared/domain/step';
import { Problem } from '@berth/shared/domain/step';
import { createExecutor } from '../../src/execute/executor.ts';
import { realSleep } from '../../src/system/clock.ts';
import { createSystem } from '../../src/system/system.ts';
import { planWith } from './plans.ts';

const NOW = 1_790_000_000_000;

function executor() {
  const system = createSystem({
    agent: 'a1',
    stateDir: '/nowhere',
    dockerSocket: '/nowhere/docker.sock',
    virtualCidr: '198.18.0.0/16',
    tenantCidr: '198.19.0.0/16',
    tenantPrefix: 26,
    bridgePrefix: 'bt-',
    nginx: {
      binary: '/nowhere/nginx',
      listenAddress: '127.0.0.1',
      httpPort: 80,
      internalPort: 81,
      start: 'agent',
    },
    reserve: { memoryBytes: 0, diskBytes: 0 },
  });
  return createExecutor({ system, clock: { now: () => NOW }, sleep: realSleep });
}

const of = { tenant: 'acme', generation: 1 };
const refs = [{ id: 'c1', name: 'x', service: 'web', graceMs: 0 }];
const network = {
  tenant: 'acme',
  name: 'a1-acme',
  bridge: 'bt-0',
  subnet: '198.19.0.0/26',
  gateway: '198.19.0.1',
};
const steps: Step[] = [
  { kind: 'network.ensure', tenant: 'acme', network },
  { kind: 'network.remove', tenant: 'acme', network },
  { kind: 'volume.ensure', tenant: 'acme', volumes: ['data'] },
  { kind: 'preflight', ...of, memoryBytes: 0, diskBytes: 0 },
  { kind: 'image.ensure', ...of, image: 'shop:1', pullPolicy: 'missing' },
  { kind: 'image.ensure', ...of, image: 'shop:1', pullPolicy: 'always' },
  { kind: 'release.run', ...of, key: 'k', container: planWith(), timeoutMs: 1_000 },
  { kind: 'containers.start', ...of, containers: [planWith()] },
  { kind: 'containers.resume', tenant: 'acme', containers: refs },
  { kind: 'containers.probe', ...of, containers: [planWith()] },
  { kind: 'containers.settle', tenant: 'acme', containers: refs, timeoutMs: 1_000 },
  { kind: 'containers.stop', tenant: 'acme', containers: refs, why: 'test' },
  { kind: 'containers.remove', tenant: 'acme', containers: refs, why: 'test' },
];

test.each(steps.map((step) => [step.kind, step] as const))(
  '%s on a host without Docker fails with a problem that says so, and throws nothing',
  async (_kind, step) => {
    const outcome = await executor().execute(step, new AbortController().signal);
    if (outcome.kind !== 'failed') throw new Error('it succeeded');
    expect(Problem.parse(outcome.problem)).toMatchObject({ code: 'docker_unavailable', at: NOW });
    expect(outcome.problem.message).toContain('/nowhere/docker.sock');
  },
);

test.each(steps.map((step) => [step.kind, step] as const))(
  '%s rejects with the reason of an abort',
  async (_kind, step) => {
    await expect(executor().execute(step, AbortSignal.abort(new Error('ending')))).rejects.toThrow('ending');
  },
);

test('a missing Nginx is named', async () => {
  const outcome = await executor().execute(
    { kind: 'ingress.apply', sites: [] },
    new AbortController().signal,
  );
  expect(outcome).toMatchObject({ kind: 'failed', problem: { code: 'unavailable' } });
});

test('a network outside the agent’s range or prefix is refused before Docker is asked', async () => {
  for (const change of [
    { bridge: 'docker0' },
    { bridge: 'bt-"; drop' },
    { subnet: '10.0.0.0/26', gateway: '10.0.0.1' },
    { subnet: '198.18.0.0/15', gateway: '198.19.0.1' },
    { gateway: '198.19.9.1' },
  ]) {
    const step: Step = { kind: 'network.ensure', tenant: 'acme', network: { ...network, ...change } };
    const outcome = await executor().execute(step, new AbortController().signal);
    expect(outcome).toMatchObject({ kind: 'failed', problem: { code: 'conflict' } });
  }
});
