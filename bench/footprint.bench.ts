import { setTimeout as wait } from 'node:timers/promises';
import { median, now, rounded, runBench } from './support/bench.ts';
import { openChronicle, untilSettled } from './support/chronicle.ts';
import { connectDocker } from './support/docker-api.ts';
import { startInstance } from './support/instance.ts';
import { figuresOf, type Figures } from './support/process-figures.ts';
import { composeOf, webImage } from './support/web-image.ts';

/**
 * Memory and processor time of coordinator and agent while nothing happens, with two tenants and with twenty.
 * Usage: npm run bench -- footprint [--json] [--quick]
 */
interface AtRest {
  rssMb: number;
  privateMb: number;
  cpuSecondsPerHour: number;
  /** Private memory of the last fifth of the time less that of the first. */
  driftMb: number;
}

const SAMPLE_MS = 1000;
/** After the last deploy: its bake time, its reports, and the garbage of both. */
const CALM_MS = 10_000;

await runBench(async (bench) => {
  const docker = connectDocker();
  bench.defer('Docker connection', () => docker.close());
  const image = await webImage(bench, docker);
  const instance = await startInstance(bench, docker);
  const { api } = instance;
  const chronicle = await openChronicle(bench, api);
  const app = 'bench';
  await api.applyApp({ params: { app }, body: { compose: composeOf(app, image), envFiles: {}, labels: {} } });
  const seconds = bench.quick ? 20 : 120;
  let count = 0;

  async function withTenants(wanted: number): Promise<{ agent: AtRest; coordinator: AtRest }> {
    const created = [];
    for (; count < wanted; count += 1) {
      const tenant = `t${String(count + 1).padStart(2, '0')}`;
      created.push(
        await api.createTenant({ body: { tenant, app, domains: [`${tenant}.test`], variables: {} } }),
      );
    }
    for (const each of created) await untilSettled(chronicle, each);
    bench.say(`${wanted} tenants run; at rest for ${seconds} s`);
    await wait(CALM_MS, undefined, { signal: bench.signal });
    const samples: { agent: Figures; coordinator: Figures }[] = [];
    const began = now();
    while (now() - began < seconds * 1000) {
      samples.push({ agent: figuresOf(instance.agentPid), coordinator: figuresOf(instance.coordinatorPid) });
      await wait(SAMPLE_MS, undefined, { signal: bench.signal });
    }
    const of = (which: 'agent' | 'coordinator'): AtRest => atRest(samples.map((each) => each[which]));
    const figures = { agent: of('agent'), coordinator: of('coordinator') };
    bench.say(JSON.stringify(figures));
    return figures;
  }

  const few = await withTenants(2);
  const many = await withTenants(20);
  const row = (what: string, key: keyof AtRest, budget?: string) =>
    (['agent', 'coordinator'] as const).map((which) => ({
      what: `${which}: ${what}`,
      value: `${few[which][key]} / ${many[which][key]}`,
      ...(budget === undefined || which === 'coordinator' ? {} : { budget }),
    }));
  return {
    result: { ...few, tenants: 2, seconds, withTwenty: many },
    rows: [
      ...row('RSS, MB, with 2 / 20 tenants', 'rssMb', '<= 75'),
      ...row('private memory, MB', 'privateMb'),
      ...row('CPU seconds per hour', 'cpuSecondsPerHour', '<= 5'),
      ...row('drift of private memory, MB', 'driftMb', 'none'),
    ],
  };
});

function atRest(samples: readonly Figures[]): AtRest {
  const fifth = Math.max(1, Math.floor(samples.length / 5));
  const privates = samples.map((each) => each.privateMb);
  const seconds = ((samples.length - 1) * SAMPLE_MS) / 1000;
  const cpu = (samples.at(-1)?.cpuSeconds ?? 0) - (samples[0]?.cpuSeconds ?? 0);
  return {
    rssMb: rounded(median(samples.map((each) => each.rssMb)), 1),
    privateMb: rounded(median(privates), 1),
    cpuSecondsPerHour: rounded((cpu / seconds) * 3600, 1),
    driftMb: rounded(median(privates.slice(-fifth)) - median(privates.slice(0, fifth)), 1),
  };
}
