import { setTimeout as wait } from 'node:timers/promises';
import { median, now, rounded, runBench } from './support/bench.ts';
import { openChronicle, untilSettled } from './support/chronicle.ts';
import { connectDocker } from './support/docker-api.ts';
import { published } from './support/image-registry.ts';
import { inTurns, startInstance } from './support/instance.ts';
import { deployRaw, removeRaw, twinOf } from './support/raw-deploy.ts';
import { countReloads } from './support/reloads.ts';
import {
  begunTenants,
  makeRelease,
  startRollout,
  untilBegun,
  untilCompleted,
  type Limits,
} from './support/rollouts.ts';
import { composeOf, webImage } from './support/web-image.ts';

/**
 * Twenty tenants of one host get a new generation: from the first command until the last one serves. All are changed at
 * once by hand; or one rollout moves them in one wave to a release that is pinned in a real registry, the image being on
 * the host. Before each of these its floor: create, start and first good answer of the same containers over the bare
 * Docker API, as many at a time as the agent has at a time. Usage: npm run bench -- wave [--json] [--quick]
 */
const TENANTS = 20;
/** The agent's default. */
const CONCURRENCY = 8;

/** Never more under way than the floor has: the next one begins when the coordinator knows that one serves. */
const EIGHT: Limits = { perHost: CONCURRENCY, atOnce: CONCURRENCY, maxFailures: CONCURRENCY - 1 };
/** All are handed to the agent at once, whose own limit is the floor's. */
const ALL: Limits = { perHost: TENANTS, atOnce: TENANTS, maxFailures: TENANTS - 1 };

type Changed = readonly { tenant: string; generation: number }[];
interface Way {
  key: 'direct' | 'rollout' | 'rolloutAllAtOnce';
  ms: number[];
  floors: number[];
  events: { from: number; to: number }[];
  reloads: number;
  run(round: number): Promise<{ began: number; changed: Changed; ended(): Promise<void> }>;
}

const TITLES: Record<Way['key'], string> = {
  direct: 'changed at once',
  rollout: `by a rollout, ${CONCURRENCY} at once`,
  rolloutAllAtOnce: 'by a rollout, all at once',
};

await runBench(async (bench) => {
  const docker = connectDocker();
  bench.defer('Docker connection', () => docker.close());
  const image = await published(bench, docker, await webImage(bench, docker));
  const instance = await startInstance(bench, docker);
  const { api, agent } = instance;
  const chronicle = await openChronicle(bench, api);
  const app = 'bench';
  const compose = composeOf(app, image);
  for (const each of [app, 'opening'])
    await makeRelease(api, { app: each, compose: composeOf(each, image), version: 'first' });

  const names = Array.from({ length: TENANTS }, (_unused, index) => `t${String(index + 1).padStart(2, '0')}`);
  // Nginx runs before the twenty come, so that what they cost is reloads and not its start.
  const first = { tenant: 'first', app: 'opening', domains: ['first.test'], variables: {} };
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
  const ways: Way[] = [
    { ...nothingYet('direct'), run: changeAll },
    { ...nothingYet('rollout'), run: (round) => rollOut(`e${round}`, EIGHT) },
    { ...nothingYet('rolloutAllAtOnce'), run: (round) => rollOut(`a${round}`, ALL) },
  ];
  const rounds = bench.quick ? 1 : 4;
  for (let round = 1; round <= rounds; round += 1)
    // None of them always comes first, or last.
    for (const [index] of ways.entries()) {
      const way = ways[(index + round) % ways.length];
      if (way === undefined) continue;
      const floor = await deployTwins();
      const from = chronicle.events.at(-1)?.id ?? 0;
      const reloadsBefore = reloads.count();
      const { began, changed, ended } = await way.run(round);
      const ms = (await lastLive(changed)) - began;
      bench.say(
        `wave ${round} of ${rounds}, ${TITLES[way.key]}: ${rounded(ms, 0)} ms, floor ${rounded(floor, 0)} ms`,
      );
      way.ms.push(ms);
      way.floors.push(floor);
      await ended();
      way.events.push({ from, to: chronicle.events.at(-1)?.id ?? 0 });
      way.reloads += reloads.count() - reloadsBefore;
      await wait(500);
    }
  const [direct, ...rollouts] = ways.map((way) => ({ key: way.key, ...figuresOf(way) }));
  const result = {
    tenants: TENANTS,
    wallMs: direct?.wallMs,
    floorMs: direct?.floorMs,
    ratio: direct?.ratio,
    leastRatio: direct?.leastRatio,
    mostRatio: direct?.mostRatio,
    waves: rounds,
    waveReloads: direct?.nginxReloads,
    creationMs: rounded(creationMs, 0),
    creationReloads,
    stepsMs: direct?.stepsMs,
    ...Object.fromEntries(rollouts.map(({ key, ...figures }) => [key, figures])),
  };
  return {
    result,
    rows: [
      ...[direct, ...rollouts].flatMap((figures) =>
        figures === undefined
          ? []
          : [
              {
                what: `${TENANTS} tenants, ${TITLES[figures.key]}, ms`,
                value: figures.wallMs,
                floor: figures.floorMs,
                budget: '<= 1.2 x',
              },
              { what: '  ratio, median of waves', value: figures.ratio },
              { what: `  Nginx reloads in ${rounds} waves`, value: figures.nginxReloads, budget: '0' },
              ...Object.entries(figures.stepsMs).map(([step, ms]) => ({
                what: `  step ${step}, ms`,
                value: ms,
              })),
            ],
      ),
      { what: `${TENANTS} tenants created, ms`, value: result.creationMs },
      { what: '  Nginx reloads', value: result.creationReloads, budget: '<= 1' },
    ],
  };

  async function deployTwins(): Promise<number> {
    const made: string[] = [];
    const began = now();
    await inTurns(twins, CONCURRENCY, async (twin) => {
      made.push((await deployRaw(docker, twin, image.port)).id);
    });
    const ms = now() - began;
    await inTurns(made, 4, (id) => removeRaw(docker, id));
    await wait(500);
    return ms;
  }

  async function changeAll(round: number): ReturnType<Way['run']> {
    const began = now();
    const changed = await Promise.all(
      names.map((tenant) =>
        api.changeTenant({ params: { tenant }, body: { variables: { BUILD: String(round) } } }),
      ),
    );
    return {
      began,
      changed,
      async ended() {
        for (const each of changed) await untilSettled(chronicle, each);
      },
    };
  }

  async function rollOut(version: string, limits: Limits): ReturnType<Way['run']> {
    const release = await makeRelease(api, { app, compose, version });
    await wait(500);
    const begun = await startRollout(api, { app, to: release.number, limits });
    await untilBegun(chronicle, begun, TENANTS);
    return {
      began: begun.sentAt,
      changed: begunTenants(chronicle, begun),
      ended: () => untilCompleted(chronicle, begun),
    };
  }

  function figuresOf(way: Way) {
    const ratios = way.ms.map((each, index) => each / (way.floors[index] ?? 0));
    return {
      wallMs: rounded(median(way.ms), 0),
      floorMs: rounded(median(way.floors), 0),
      ratio: rounded(median(ratios)),
      leastRatio: rounded(Math.min(...ratios)),
      mostRatio: rounded(Math.max(...ratios)),
      nginxReloads: way.reloads,
      stepsMs: chronicle.steps(({ id }) => way.events.some(({ from, to }) => id > from && id <= to)),
    };
  }

  /** When the last of them was verified and served, by the agent's word. */
  async function lastLive(changed: Changed): Promise<number> {
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

function nothingYet(key: Way['key']): Omit<Way, 'run'> {
  return { key, ms: [], floors: [], events: [], reloads: 0 };
}
