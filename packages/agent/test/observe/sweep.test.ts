import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Listing } from '../../src/system/docker-listing.ts';
import { DockerClient } from '../../src/system/docker.ts';
import { containerFrom, labelsOf } from '../../src/system/labels.ts';
import { planWith } from '../execute/plans.ts';

/** A list entry as Docker 20.10 writes it, with all that Berth does not read. */
function listed(number: number): unknown {
  const plan = planWith(
    { route: { port: 8080, path: '/', health: '/' } },
    { name: `a1-t${number}-g1-web-1`, tenant: `t${number}`, virtual: '198.18.0.9' },
  );
  return {
    Id: number.toString(16).padStart(64, '0'),
    Names: [`/${plan.name}`],
    Image: 'registry.example.com/shop/web@sha256:'.padEnd(100, 'a'),
    ImageID: 'sha256:'.padEnd(71, 'b'),
    Command: 'docker-entrypoint.sh node server.js',
    Created: 1_790_000_000 + number,
    Ports: [],
    Labels: labelsOf('a1', plan),
    State: 'running',
    Status: 'Up 3 hours (healthy)',
    HostConfig: { NetworkMode: plan.network },
    NetworkSettings: {
      Networks: {
        [plan.network]: {
          IPAMConfig: { IPv4Address: plan.address },
          IPAddress: plan.address,
          Gateway: '198.19.0.1',
        },
      },
    },
    Mounts: [],
  };
}

test('a sweep over 1,000 containers costs at most 15 ms of CPU', async () => {
  const body = JSON.stringify(Array.from({ length: 1_000 }, (_, number) => listed(number)));
  const folder = await mkdtemp(join(tmpdir(), 'berth-sweep-'));
  const server = createServer((request, response) => {
    response.setHeader('Api-Version', '1.41');
    response.end(request.url === '/_ping' ? 'OK' : body);
  });
  await new Promise<void>((resolve) => server.listen(join(folder, 's'), resolve));
  const client = new DockerClient(join(folder, 's'));
  const listing = new Listing('berth.agent=a1', (entry) => containerFrom('a1', entry, () => 0));
  try {
    const sweep = async (): Promise<number> => {
      const before = process.cpuUsage();
      const ours = (await client.listContainers(listing)).filter((each) => each !== null);
      const spent = process.cpuUsage(before);
      expect(ours).toHaveLength(1_000);
      return (spent.user + spent.system) / 1_000;
    };
    for (let round = 0; round < 20; round += 1) await sweep();
    const costs: number[] = [];
    for (let round = 0; round < 21; round += 1) costs.push(await sweep());
    costs.sort((a, b) => a - b);
    // The median, server included, so that a busy machine does not decide.
    expect(costs[10]).toBeLessThan(15);
    console.info(`median ${costs[10]} ms, best ${costs[0]} ms`);
  } finally {
    client.close();
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true, force: true });
  }
});
