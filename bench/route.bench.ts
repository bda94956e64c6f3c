import { median, rounded, runBench } from './support/bench.ts';
import { startBareNginx } from './support/bare-nginx.ts';
import { openChronicle, untilSettled } from './support/chronicle.ts';
import { connectDocker } from './support/docker-api.ts';
import { startInstance } from './support/instance.ts';
import { freePort } from './support/places.ts';
import { twinOf } from './support/raw-deploy.ts';
import { composeOf, webImage } from './support/web-image.ts';
import { wrk, type WrkResult } from './support/wrk.ts';

/**
 * Requests per second to one tenant: through Berth's Nginx and the tenant's virtual address, and, in turn with it,
 * through a bare pooled Nginx straight to the same container. 64 keep-alive connections, 60 s each.
 * Usage: npm run bench -- route [--json] [--quick]
 */
await runBench(async (bench) => {
  const docker = connectDocker();
  bench.defer('Docker connection', () => docker.close());
  const image = await webImage(bench, docker);
  const instance = await startInstance(bench, docker);
  const { api, agent, httpPort } = instance;
  const chronicle = await openChronicle(bench, api);
  const app = 'bench';
  await api.applyApp({ params: { app }, body: { compose: composeOf(app, image), envFiles: {}, labels: {} } });
  const body = { tenant: 'subject', app, domains: ['subject.test'], variables: {} };
  await untilSettled(chronicle, await api.createTenant({ body }));

  const { address } = await twinOf(docker, agent, 'subject');
  const port = await freePort(8400, new Set([httpPort]));
  await startBareNginx(bench, { port, address, upstreamPort: image.port });

  const host = 'subject.test';
  const seconds = bench.quick ? 3 : 5;
  const slices = bench.quick ? 4 : 12;
  await wrk({ port, host, seconds: 1 }, bench.signal);
  await wrk({ port: httpPort, host, seconds: 1 }, bench.signal);
  const ours: WrkResult[] = [];
  const floors: WrkResult[] = [];
  for (let slice = 1; slice <= slices; slice += 1) {
    const floor = (): Promise<WrkResult> => wrk({ port, host, seconds }, bench.signal);
    const own = (): Promise<WrkResult> => wrk({ port: httpPort, host, seconds }, bench.signal);
    // Each goes first every other time, so that a machine that slows down favours neither.
    if (slice % 2 === 0) ours.push(await own());
    floors.push(await floor());
    if (slice % 2 === 1) ours.push(await own());
    const last = (list: WrkResult[]): number => rounded(rate(list.at(-1)), 0);
    bench.say(`slice ${slice} of ${slices}: ${last(ours)} requests/s, floor ${last(floors)}`);
  }
  const rps = median(ours.map(rate));
  const floorRps = median(floors.map(rate));
  const result = {
    rps: rounded(rps, 0),
    floorRps: rounded(floorRps, 0),
    ratio: rounded(median(ours.map((each, index) => rate(each) / rate(floors[index])))),
    failed: ours.reduce((sum, each) => sum + each.failed, 0),
    floorFailed: floors.reduce((sum, each) => sum + each.failed, 0),
    requests: ours.reduce((sum, each) => sum + each.requests, 0),
    seconds: rounded(
      ours.reduce((sum, each) => sum + each.seconds, 0),
      0,
    ),
  };
  return {
    result,
    rows: [
      { what: 'requests/s', value: result.rps, floor: result.floorRps, budget: '>= 0.95 x' },
      { what: '  ratio, median of slices', value: result.ratio },
      { what: 'failed requests', value: result.failed, floor: result.floorFailed, budget: '0' },
    ],
  };
});

function rate(result: WrkResult | undefined): number {
  return result === undefined ? 0 : result.requests / result.seconds;
}
