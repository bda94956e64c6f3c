import { setTimeout as wait } from 'node:timers/promises';
import { median, now, rounded, runBench } from './support/bench.ts';
import { openChronicle, untilSettled } from './support/chronicle.ts';
import { connectDocker } from './support/docker-api.ts';
import { published } from './support/image-registry.ts';
import { startInstance } from './support/instance.ts';
import { startLoad } from './support/load.ts';
import { openNeighbour, shopImage } from './support/neighbours.ts';
import { deployRaw, removeRaw, twinOf } from './support/raw-deploy.ts';
import { countReloads } from './support/reloads.ts';
import { begunTenants, makeRelease, startRollout, untilCompleted } from './support/rollouts.ts';
import { composeOf, webImage } from './support/web-image.ts';

/**
 * One tenant is deployed ten times under keep-alive load while a neighbour's clients hold WebSockets: first by changing
 * the tenant itself, then by a rollout of a new release each time, pinned to the image's digest in a real registry; the
 * image is on the host. In turn with each deploy its floor, under the same load: create, start and first good answer of
 * the same container over the bare Docker API. Usage: npm run bench -- switch [--json] [--quick]
 */
const SOCKETS = 20;
const CONNECTIONS = 32;
const PAUSE_MS = 10;

/** One deploy that was asked for: since when, and what to await before the next one. */
interface Asked {
  began: number;
  /** Resolves with the generation that it made, when nothing is left to do. */
  ended(): Promise<number>;
}

await runBench(async (bench) => {
  const docker = connectDocker();
  bench.defer('Docker connection', () => docker.close());
  const image = await published(bench, docker, await webImage(bench, docker));
  const neighbourImage = await shopImage(bench, docker);
  const instance = await startInstance(bench, docker);
  const { api, agent, httpPort } = instance;
  const chronicle = await openChronicle(bench, api);
  const app = 'bench';
  const compose = composeOf(app, image);
  await makeRelease(api, { app, compose, version: 'first' });
  const params = { tenant: 'subject' };
  const body = { ...params, app, domains: ['subject.test'], variables: {} };
  await untilSettled(chronicle, await api.createTenant({ body }));
  const neighbour = await openNeighbour(bench, api, chronicle, {
    image: neighbourImage,
    httpPort,
    sockets: SOCKETS,
  });
  const twin = await twinOf(docker, agent, 'subject');
  const reloads = countReloads(bench, instance.nginxPid());
  const rounds = bench.quick ? 3 : 10;

  const direct = await measure('deploy', async (round) => {
    const began = now();
    const changed = await api.changeTenant({ params, body: { variables: { BUILD: String(round) } } });
    return {
      began,
      async ended() {
        await untilSettled(chronicle, changed);
        return changed.generation;
      },
    };
  });
  const releaseMs: number[] = [];
  const answerMs: number[] = [];
  const beginMs: number[] = [];
  const rollout = await measure('rollout', async (round) => {
    const release = await makeRelease(api, { app, compose, version: String(round) });
    releaseMs.push(release.ms);
    await wait(200);
    await api.showTenant({ params });
    const begun = await startRollout(api, { app, to: release.number });
    answerMs.push(begun.answeredAt - begun.sentAt);
    return {
      began: begun.sentAt,
      async ended() {
        await untilCompleted(chronicle, begun);
        const [subject] = begunTenants(chronicle, begun);
        if (subject === undefined) throw new Error(`rollout ${begun.rollout} began nobody`);
        beginMs.push(subject.at - begun.sentAt);
        return subject.generation;
      },
    };
  });

  const { toNewVersionMs: commandToNewVersionMs, ...rest } = direct;
  const result = {
    ...rest,
    commandToNewVersionMs,
    rollout: {
      ...rollout,
      /** From the call until it is answered, and until the coordinator has told the tenant's host. */
      answeredMs: rounded(median(answerMs), 0),
      tenantBegunMs: rounded(median(beginMs), 0),
      /** Made before, and no part of it: the registry is asked for the digest. */
      releaseCreateMs: rounded(median(releaseMs), 0),
    },
  };
  return {
    result,
    rows: [
      ...rowsOf('', direct),
      ...rowsOf('through a rollout: ', rollout),
      { what: '  start answered, ms', value: result.rollout.answeredMs },
      { what: '  tenant begun, ms', value: result.rollout.tenantBegunMs },
      { what: '  release created before, ms', value: result.rollout.releaseCreateMs },
    ],
  };

  /** So many deploys of one kind under a load of their own. */
  async function measure(what: string, ask: (round: number) => Promise<Asked>) {
    const load = await startLoad(bench, {
      port: httpPort,
      host: 'subject.test',
      connections: CONNECTIONS,
      pauseMs: PAUSE_MS,
    });
    await wait(1000);
    const afterEvent = chronicle.events.at(-1)?.id ?? 0;
    const reloadsBefore = reloads.count();
    const floors: number[] = [];
    const times: number[] = [];
    const verified: number[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      const raw = await deployRaw(docker, twin, image.port);
      await removeRaw(docker, raw.id);
      await wait(300);
      // A command before the one that is timed, so that the client's own connection is open.
      await api.showTenant({ params });
      const before = load.bodies();
      const asked = await ask(round);
      const first = await load.firstOther(before);
      const ms = first.at - asked.began;
      if (process.env['BERTH_BENCH_TRACE'] === '1')
        bench.say(`${asked.began} command; ${first.at} first new answer`);
      floors.push(raw.ms);
      times.push(ms);
      bench.say(`${what} ${round} of ${rounds}: ${rounded(ms, 0)} ms, floor ${rounded(raw.ms, 0)} ms`);
      const generation = await asked.ended();
      const live = await chronicle.until(
        `generation ${generation} was verified`,
        (event) =>
          event.kind === 'tenant.live' && event.tenant === 'subject' && event.generation === generation,
      );
      verified.push(live.at - asked.began);
      await wait(300);
    }
    const counted = await load.stop();
    for (const failure of counted.failures) bench.say(`failed request: ${failure}`);
    return {
      requests: counted.requests,
      failed: counted.failed,
      neighbourSocketsCut: await neighbour.cut(),
      nginxReloads: reloads.count() - reloadsBefore,
      toNewVersionMs: rounded(median(times), 0),
      floorMs: rounded(median(floors), 0),
      ratio: rounded(median(times) / median(floors)),
      overFloorMs: rounded(median(times.map((each, index) => each - (floors[index] ?? 0))), 0),
      /** Until the agent had switched and verified it. The rest is Nginx's pool: its connections live for a second. */
      verifiedMs: rounded(median(verified), 0),
      slowestMs: rounded(Math.max(...times), 0),
      deploys: rounds,
      stepsMs: chronicle.steps((event) => event.id > afterEvent),
    };
  }
});

function rowsOf(
  way: string,
  result: {
    requests: number;
    failed: number;
    neighbourSocketsCut: number;
    nginxReloads: number;
    toNewVersionMs: number;
    floorMs: number;
    ratio: number;
    verifiedMs: number;
    stepsMs: Record<string, number>;
  },
) {
  return [
    { what: `${way}requests`, value: result.requests },
    { what: `${way}failed requests`, value: result.failed, budget: '0' },
    {
      what: `${way}WebSockets of a neighbour cut, of ${SOCKETS}`,
      value: result.neighbourSocketsCut,
      budget: '0',
    },
    { what: `${way}Nginx reloads`, value: result.nginxReloads, budget: '0' },
    {
      what: `${way}command to new version, ms`,
      value: result.toNewVersionMs,
      floor: result.floorMs,
      budget: '<= 1.2 x, or floor + 300 ms',
    },
    { what: '  ratio', value: result.ratio },
    { what: '  switched and verified, ms', value: result.verifiedMs },
    ...Object.entries(result.stepsMs).map(([step, ms]) => ({ what: `  step ${step}, ms`, value: ms })),
  ];
}
