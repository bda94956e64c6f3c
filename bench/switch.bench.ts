import { setTimeout as wait } from 'node:timers/promises';
import { median, now, rounded, runBench } from './support/bench.ts';
import { openChronicle, untilSettled } from './support/chronicle.ts';
import { connectDocker } from './support/docker-api.ts';
import { startInstance } from './support/instance.ts';
import { startLoad } from './support/load.ts';
import { openNeighbour, shopImage } from './support/neighbours.ts';
import { deployRaw, removeRaw, twinOf } from './support/raw-deploy.ts';
import { countReloads } from './support/reloads.ts';
import { composeOf, webImage } from './support/web-image.ts';

/**
 * One tenant is deployed ten times under keep-alive load while a neighbour's clients hold WebSockets. In turn with each
 * deploy its floor, under the same load: create, start and first good answer of the same container over the bare
 * Docker API. Usage: npm run bench -- switch [--json] [--quick]
 */
const SOCKETS = 20;
const CONNECTIONS = 32;
const PAUSE_MS = 10;

await runBench(async (bench) => {
  const docker = connectDocker();
  bench.defer('Docker connection', () => docker.close());
  const image = await webImage(bench, docker);
  const neighbourImage = await shopImage(bench, docker);
  const instance = await startInstance(bench, docker);
  const { api, agent, httpPort } = instance;
  const chronicle = await openChronicle(bench, api);
  const app = 'bench';
  await api.applyApp({ params: { app }, body: { compose: composeOf(app, image), envFiles: {}, labels: {} } });
  const body = { tenant: 'subject', app, domains: ['subject.test'], variables: {} };
  await untilSettled(chronicle, await api.createTenant({ body }));
  const neighbour = await openNeighbour(bench, api, chronicle, {
    image: neighbourImage,
    httpPort,
    sockets: SOCKETS,
  });
  const twin = await twinOf(docker, agent, 'subject');
  const reloads = countReloads(bench, instance.nginxPid());
  const target = { port: httpPort, host: 'subject.test', connections: CONNECTIONS, pauseMs: PAUSE_MS };
  const load = await startLoad(bench, target);
  await wait(1000);
  const afterEvent = chronicle.events.at(-1)?.id ?? 0;

  const floors: number[] = [];
  const times: number[] = [];
  const differences: number[] = [];
  const rounds = bench.quick ? 3 : 10;
  for (let round = 1; round <= rounds; round += 1) {
    const raw = await deployRaw(docker, twin, image.port);
    await removeRaw(docker, raw.id);
    await wait(300);
    // A command before the one that is timed, so that the client's own connection is open.
    await api.showTenant({ params: { tenant: 'subject' } });
    const before = load.bodies();
    const began = now();
    const changed = await api.changeTenant({
      params: { tenant: 'subject' },
      body: { variables: { BUILD: String(round) } },
    });
    const first = await load.firstOther(before);
    const ms = first.at - began;
    if (process.env['BERTH_BENCH_TRACE'] === '1') bench.say(`${began} command; ${first.at} first new answer`);
    floors.push(raw.ms);
    times.push(ms);
    differences.push(ms - raw.ms);
    bench.say(`deploy ${round} of ${rounds}: ${rounded(ms, 0)} ms, floor ${rounded(raw.ms, 0)} ms`);
    await untilSettled(chronicle, changed);
    await wait(300);
  }
  const counted = await load.stop();
  for (const failure of counted.failures) bench.say(`failed request: ${failure}`);
  const commandToNewVersionMs = median(times);
  const floorMs = median(floors);
  const result = {
    requests: counted.requests,
    failed: counted.failed,
    neighbourSocketsCut: await neighbour.cut(),
    nginxReloads: reloads.count(),
    commandToNewVersionMs: rounded(commandToNewVersionMs, 0),
    floorMs: rounded(floorMs, 0),
    ratio: rounded(commandToNewVersionMs / floorMs),
    overFloorMs: rounded(median(differences), 0),
    deploys: rounds,
    stepsMs: chronicle.steps(afterEvent),
  };
  return {
    result,
    rows: [
      { what: 'requests', value: result.requests },
      { what: 'failed requests', value: result.failed, budget: '0' },
      {
        what: `WebSockets of a neighbour cut, of ${SOCKETS}`,
        value: result.neighbourSocketsCut,
        budget: '0',
      },
      { what: 'Nginx reloads', value: result.nginxReloads, budget: '0' },
      {
        what: 'command to new version, ms',
        value: result.commandToNewVersionMs,
        floor: result.floorMs,
        budget: '<= 1.2 x, or floor + 300 ms',
      },
      { what: '  ratio', value: result.ratio },
      ...Object.entries(result.stepsMs).map(([step, ms]) => ({ what: `  step ${step}, ms`, value: ms })),
    ],
  };
});
