import { setTimeout as wait } from 'node:timers/promises';
import { median, now, rounded, runBench } from './support/bench.ts';
import { openChronicle, untilSettled } from './support/chronicle.ts';
import { connectDocker } from './support/docker-api.ts';
import { inTurns, startInstance } from './support/instance.ts';
import { deployRaw, removeRaw, twinOf } from './support/raw-deploy.ts';
import { countReloads } from './support/reloads.ts';
import { composeOf, webImage } from './support/web-image.ts';

/**
 * Twenty tenants get a new generation at once: from the first command until the last one serves. In turn with each wave
 * its floor: create, start and first good answer of the same containers over the bare Docker API, as many at a time as
 * the agent has at a time. Usage: npm run bench -- wave [--json] [--quick]
 */
const TENANTS = 20;
/** The agent's default. */
const CONCURRENCY = 8;

await runBench(async (bench) => {
  const docker = connectDocker();
  bench.defer('Docker connection', () => docker.close());
  const image = await webImage(bench, docker);
  const instance = await startInstance(bench, docker);
  const { api, agent } = instance;
  const chronicle = await openChronicle(bench, api);
  const app = 'bench';
  await api.applyApp({ params: { app }, body: { compose: composeOf(app, image), envFiles: {}, labels: {} } });

  const names = Array.from({ length: TENANTS }, (_unused, index) => `t${String(index + 1).padStart(2, '0')}`);
  // Nginx runs before the twenty come, so that what they cost is reloads and not its start.
  const first = { tenant: 'first', app, domains: ['first.test'], variables: {} };
  await untilSettled(chronicle, await api.createTenant({ body: first }));
  const reloads = countReloads(bench, instance.nginxPid());
  const creationBegan = now();
  const created = await Promise.all(
    names.map((tenant) =>
      api.createTenant({ body: { tenant, app, domains: [`${tenant}.test`], variables: {} } }),
    ),
  );
  const creationMs = (await lastLive(created)) - creationBegan;
  for (const each of created) await untilSettled(chronicle, each);
  const creationReloads = reloads.count();
  bench.say(`${TENANTS} tenants created in ${rounded(creationMs, 0)} ms, ${creationReloads} Nginx reloads`);

  const twins = await Promise.all(names.map((tenant) => twinOf(docker, agent, tenant)));
  const times: number[] = [];
  const floors: number[] = [];
  const afterEvent = chronicle.events.at(-1)?.id ?? 0;
  const rounds = bench.quick ? 1 : 5;
  for (let round = 1; round <= rounds; round += 1) {
    const made: string[] = [];
    const floorBegan = now();
    await inTurns(twins, CONCURRENCY, async (twin) => {
      made.push((await deployRaw(docker, twin, image.port)).id);
    });
    floors.push(now() - floorBegan);
    await inTurns(made, 4, (id) => removeRaw(docker, id));
    await wait(500);
    const began = now();
    const changed = await Promise.all(
      names.map((tenant) =>
        api.changeTenant({ params: { tenant }, body: { variables: { BUILD: String(round) } } }),
      ),
    );
    times.push((await lastLive(changed)) - began);
    bench.say(
      `wave ${round} of ${rounds}: ${rounded(times.at(-1) ?? 0, 0)} ms, floor ${rounded(floors.at(-1) ?? 0, 0)} ms`,
    );
    for (const each of changed) await untilSettled(chronicle, each);
    await wait(500);
  }
  const result = {
    tenants: TENANTS,
    wallMs: rounded(median(times), 0),
    floorMs: rounded(median(floors), 0),
    ratio: rounded(median(times.map((each, index) => each / (floors[index] ?? 1)))),
    waves: rounds,
    waveReloads: reloads.count() - creationReloads,
    creationMs: rounded(creationMs, 0),
    creationReloads,
    stepsMs: chronicle.steps((event) => event.id > afterEvent),
  };
  return {
    result,
    rows: [
      {
        what: `${TENANTS} tenants deployed, ms`,
        value: result.wallMs,
        floor: result.floorMs,
        budget: '<= 1.2 x',
      },
      { what: '  ratio, median of waves', value: result.ratio },
      { what: `Nginx reloads in ${rounds} waves`, value: result.waveReloads, budget: '0' },
      { what: `${TENANTS} tenants created, ms`, value: result.creationMs },
      { what: '  Nginx reloads', value: result.creationReloads, budget: '<= 1' },
      ...Object.entries(result.stepsMs).map(([step, ms]) => ({ what: `  step ${step}, ms`, value: ms })),
    ],
  };

  /** When the last of them was verified and served, by the agent's word. */
  async function lastLive(changed: readonly { tenant: string; generation: number }[]): Promise<number> {
    const events = await Promise.all(
      changed.map(({ tenant, generation }) =>
        chronicle.until(
          `${tenant} live`,
          (event) =>
            event.kind === 'tenant.live' && event.tenant === tenant && event.generation === generation,
        ),
      ),
    );
    return Math.max(...events.map((event) => event.at));
  }
});
