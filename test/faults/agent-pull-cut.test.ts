import { connect, createServer, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { webImage } from '../integration/support/images.ts';
import { push, startRegistry, type RealRegistry } from '../integration/support/registry.ts';
import type { AgentProcess } from '../support/agent.ts';
import { dockerAt, sharedSocket } from '../support/docker.ts';
import { startFleet, type Changed, type Fleet } from '../support/fleet.ts';
import { startLoad } from '../support/load.ts';
import { webApp } from '../support/templates.ts';

const docker = dockerAt(sharedSocket());
let fleet: Fleet;
let agent: AgentProcess;
let registry: RealRegistry;
let line: CutLine;
let base: string;
const pulled: string[] = [];

beforeAll(async () => {
  base = await webImage(docker);
  fleet = await startFleet();
  agent = await fleet.addAgent();
  registry = await startRegistry();
  line = await startCutLine(registry);
  await fleet.apply('shop', webApp({ image: base, bake: '500ms' }));
  await fleet.create('acme', 'shop');
});
afterAll(async () => {
  await fleet?.close();
  for (const each of pulled)
    await docker
      .getImage(each)
      .remove({ force: true })
      .catch(() => undefined);
  await line?.close();
  await registry?.close();
});

/** The way to a registry, which is cut in the middle of whatever is long. */
interface CutLine {
  /** `127.0.0.1:PORT`. */
  host: string;
  /** So many more connections end after `bytes` of what the registry says. */
  cut(times: number, bytes: number): void;
  /** How many were cut so far. */
  cuts(): number;
  close(): Promise<void>;
}

async function startCutLine(to: RealRegistry): Promise<CutLine> {
  const [address = '', port = ''] = to.host.split(':');
  const open = new Set<Socket>();
  let [left, limit, done] = [0, 0, 0];
  const server = createServer((visitor) => {
    const there = connect(Number(port), address);
    let said = 0;
    for (const each of [visitor, there]) {
      open.add(each);
      each.on('error', () => undefined);
      each.on('close', () => {
        open.delete(each);
        visitor.destroy();
        there.destroy();
      });
    }
    visitor.pipe(there);
    there.on('data', (chunk: Buffer) => {
      said += chunk.length;
      if (left > 0 && said > limit) {
        left -= 1;
        done += 1;
        visitor.write(chunk.subarray(0, Math.max(0, chunk.length - (said - limit))), () => visitor.destroy());
        there.destroy();
      } else if (!visitor.write(chunk)) {
        there.pause();
        visitor.once('drain', () => there.resume());
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('no port');
  return {
    host: `127.0.0.1:${bound.port}`,
    cut(times, bytes) {
      [left, limit] = [times, bytes];
    },
    cuts: () => done,
    async close() {
      for (const each of open) each.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** An image with a layer of 12 MB that nobody has yet, at the end of the line; by its digest. */
async function newImage(name: string): Promise<string> {
  const repo = `berth-test/cut-${agent.name}-${name}`;
  const container = await docker.createContainer({
    Image: base,
    Cmd: ['dd', 'if=/dev/urandom', 'of=/weight', 'bs=1M', 'count=12'],
    Labels: { 'berth.agent': agent.name },
  });
  try {
    await container.start();
    await container.wait();
    await container.commit({ repo, tag: '1' });
  } finally {
    await container.remove({ force: true });
  }
  try {
    const digest = await push(docker, `${repo}:1`, { host: registry.host, name, tag: '1' });
    const reference = `${line.host}/${name}@${digest}`;
    pulled.push(reference);
    return reference;
  } finally {
    await docker.getImage(`${repo}:1`).remove();
  }
}

async function moveTo(image: string, version: string): Promise<Changed> {
  return await fleet.set('acme', { IMAGE: image, VERSION: version });
}

describe('a pull that is cut in the middle of a layer', () => {
  test('once is taken up again, and the tenant comes up', async () => {
    const image = await newImage('once');
    const load = startLoad(fleet.place('acme'), { connections: 2, pauseMs: 10 });
    const before = line.cuts();
    line.cut(1, 3_000_000);
    const changed = await moveTo(image, 'once');
    await fleet.untilLive(changed, 60_000);
    await fleet.untilAnswers('acme', 'once');
    expect(line.cuts() - before).toBe(1);
    const { failed, requests } = await load.stop();
    expect(failed).toEqual([]);
    expect(requests).toBeGreaterThan(100);
  }, 90_000);

  test('until Docker gives up is begun anew by the agent, and the old colour serves throughout', async () => {
    const image = await newImage('often');
    const load = startLoad(fleet.place('acme'), { connections: 2, pauseMs: 20 });
    line.cut(1_000, 300_000);
    const changed = await moveTo(image, 'often');
    const blocked = await fleet.journal.until(
      'that the pull failed',
      (event) => event.kind === 'tenant.blocked' && event.tenant === 'acme',
      { after: changed.afterEvent, timeoutMs: 120_000 },
    );
    expect(blocked.message).toContain(line.host);
    expect(blocked.details['problem']).toMatchObject({
      code: expect.stringMatching(/^(registry_unreachable|image_pull_failed)$/),
      step: expect.stringContaining(image),
    });
    await fleet.untilAnswers('acme', 'once');
    const running = (await fleet.containers('acme')).filter((each) => each.state === 'running');
    const generations = running.map((each) => each.generation);
    expect(generations).toContain(changed.generation - 1);
    expect(generations).not.toContain(changed.generation);

    line.cut(0, 0);
    await fleet.untilLive({ ...changed, afterEvent: blocked.id }, 60_000);
    await fleet.untilAnswers('acme', 'often');
    expect((await load.stop()).failed).toEqual([]);
  }, 200_000);
});
