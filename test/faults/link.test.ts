import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { DesiredTenant, stateDigest, type DesiredState } from '@berth/shared/domain/desired';
import { HELLO_TIMEOUT_MS } from '@berth/shared/protocol/messages';
import { webImage } from '../integration/support/images.ts';
import { logOf, type AgentProcess } from '../support/agent.ts';
import { dockerAt, recordContainers, sharedSocket } from '../support/docker.ts';
import { startFleet, type Fleet } from '../support/fleet.ts';
import { acceptByHand, ENDLESS_BYTES, flood, frameHead, impersonate } from '../support/impostor.ts';
import { startLoad } from '../support/load.ts';
import { claimSlice } from '../support/slices.ts';
import { webApp } from '../support/templates.ts';

let fleet: Fleet;
let agent: AgentProcess;
beforeAll(async () => {
  const image = await webImage(dockerAt(sharedSocket()));
  fleet = await startFleet();
  agent = await fleet.addAgent();
  await fleet.apply('shop', webApp({ image }));
  await fleet.create('acme', 'shop');
  const changed = await fleet.set('acme', { VERSION: '2' });
  await fleet.untilSettled('acme', changed.generation);
});
afterAll(() => fleet?.close());

const portOf = (): number => Number(new URL(fleet.coordinator.url()).port);

const Head = z.object({
  head: z.object({ epoch: z.int(), revision: z.int(), entries: z.record(z.string(), z.string()) }),
});

/** The desired state as the agent has it on disk. */
function stateOnDisk(): DesiredState {
  const { head } = Head.parse(JSON.parse(readFileSync(join(agent.stateDir, 'head.json'), 'utf8')));
  const tenants = Object.entries(head.entries).map(([name, digest]) => {
    const text = readFileSync(join(agent.stateDir, 'desired', `${name}.${digest}.json`), 'utf8');
    return [name, z.object({ entry: DesiredTenant }).parse(JSON.parse(text)).entry] as const;
  });
  return {
    epoch: head.epoch,
    revision: head.revision,
    tenants: Object.fromEntries(tenants),
    tombstones: {},
  };
}

describe('an agent that is told what is long past', () => {
  test('refuses an older revision and an older epoch, and nothing on its host changes', async () => {
    const now = stateOnDisk();
    const acme = now.tenants['acme'];
    if (acme === undefined) throw new Error('the agent does not know acme');
    const past: DesiredState['tenants'] = {
      acme: { ...acme, generation: 1, state: 'paused' },
    };
    const record = await recordContainers(dockerAt(sharedSocket()), agent.name);
    const before = await fleet.containers();
    const load = startLoad(fleet.place('acme'));
    await fleet.coordinator.kill();
    const impostor = await impersonate(portOf(), now.epoch);
    try {
      const visitor = await impostor.visitor();
      const tell = async (epoch: number, revision: number, tenants: DesiredState['tenants']) => {
        visitor.say({
          type: 'desired',
          epoch,
          revision,
          base: null,
          digest: stateDigest({ tenants, tombstones: {} }),
          part: 1,
          parts: 1,
          tenants: Object.values(tenants),
          tombstones: [],
          forget: [],
        });
        return (await visitor.heard('desired.reject')).reason;
      };
      expect(await tell(now.epoch, now.revision - 1, past)).toBe('stale_revision');
      expect(await tell(now.epoch, now.revision, past)).toBe('stale_revision');
      expect(await tell(now.epoch - 1, now.revision + 5, past)).toBe('stale_epoch');
      expect(await tell(now.epoch - 1, now.revision + 5, {})).toBe('stale_epoch');
    } finally {
      await impostor.close();
    }
    expect(stateOnDisk()).toEqual(now);
    await fleet.coordinator.start();
    await fleet.untilTenant('is current again', 'acme', (tenant) => tenant.freshness === 'current');
    const { failed } = await load.stop();
    expect(failed).toEqual([]);
    record.close();
    expect(record.events).toEqual([]);
    expect(await fleet.containers()).toEqual(before);
    expect((await fleet.api().status()).mode).toBe('apply');
  });

  test('does not take the absence of a tenant for its removal', async () => {
    const now = stateOnDisk();
    const before = await fleet.containers();
    await fleet.coordinator.kill();
    const impostor = await impersonate(portOf(), now.epoch);
    try {
      const visitor = await impostor.visitor();
      const digest = stateDigest({ tenants: {}, tombstones: {} });
      const empty = { base: null, digest, part: 1, parts: 1, tenants: [], tombstones: [], forget: [] };
      visitor.say({ type: 'desired', epoch: now.epoch + 1, revision: 1, ...empty });
      await visitor.heard('desired.ack');
      const report = await visitor.heard('report');
      expect(report.host?.orphans ?? ['acme']).toEqual(['acme']);
    } finally {
      await impostor.close();
    }
    await fleet.untilAnswers('acme', '2');
    expect(await fleet.containers()).toEqual(before);
    // The real coordinator is behind that epoch now: it changes nothing until an operator has looked.
    await fleet.coordinator.start();
    await expect.poll(async () => (await fleet.api().status()).mode, { timeout: 20_000 }).toBe('observe');
    expect(await fleet.containers()).toEqual(before);
    await fleet.api().confirmEpoch();
    const changed = await fleet.set('acme', { VERSION: '3' });
    await fleet.untilSettled('acme', changed.generation);
    await fleet.untilAnswers('acme', '3');
  });
});

const rssMb = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;

describe('a message without measure', () => {
  test('of 10 MB or without an end is cut off by the agent, which goes on with the next session', async () => {
    // A fresh agent comes soon; one that was cut off often waits longer.
    await fleet.restart(agent);
    await fleet.coordinator.kill();
    const taken: number[] = [];
    const server = createServer();
    const floods: Promise<void>[] = [];
    server.on('upgrade', (request, socket: Socket) => {
      const turn = floods.length;
      socket.on('error', () => undefined);
      acceptByHand(socket, request.headers['sec-websocket-key'] ?? '');
      floods.push(
        flood(socket, 'server', turn === 0 ? 10 * 1024 * 1024 : null).then((sent) => void taken.push(sent)),
      );
    });
    server.listen(portOf(), '127.0.0.1');
    await once(server, 'listening');
    try {
      await expect.poll(() => taken.length, { timeout: 40_000, interval: 100 }).toBeGreaterThanOrEqual(2);
    } finally {
      server.close();
      server.closeAllConnections();
    }
    // A frame's head tells its size, so a large one may be cut off at once; one without an end is cut off on its way.
    expect(taken.every((bytes) => bytes < ENDLESS_BYTES)).toBe(true);
    expect(rssMb(agent.pid())).toBeLessThan(200);
    await fleet.coordinator.start();
    const changed = await fleet.set('acme', { VERSION: '4' });
    await fleet.untilSettled('acme', changed.generation, { timeoutMs: 60_000 });
    await fleet.untilAnswers('acme', '4');
  }, 120_000);

  test('is cut off by the coordinator, also when it trickles, and agents and API do not notice', async () => {
    const open = async (): Promise<Socket> => {
      const socket = connect(portOf(), '127.0.0.1');
      socket.on('error', () => undefined);
      await once(socket, 'connect');
      socket.write(
        `GET /api/v1/agent/connect HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: berth.v1\r\n\r\n`,
      );
      await once(socket, 'data');
      socket.resume();
      return socket;
    };
    const trickle = await open();
    const began = Date.now();
    const trickled = once(trickle, 'close').then(() => Date.now() - began);
    trickle.write(frameHead(100_000, 'client', 1));
    const drip = setInterval(() => trickle.write(' '), 100);
    try {
      for (const size of [10 * 1024 * 1024, null])
        expect(await flood(await open(), 'client', size)).toBeLessThan(ENDLESS_BYTES);
      expect(rssMb(fleet.coordinator.pid())).toBeLessThan(300);
      expect((await fleet.api().status()).hosts.online).toBe(1);
      expect(await trickled).toBeLessThan(HELLO_TIMEOUT_MS + 5_000);
    } finally {
      clearInterval(drip);
      trickle.destroy();
    }
    expect((await fleet.api().status()).hosts.online).toBe(1);
  });
});

describe('two agents with one identity', () => {
  test('are told apart: the newer one wins, the other falls silent, and its tenants answer on', async () => {
    const clone = await claimSlice();
    const dir = mkdtempSync(clone.statePrefix);
    const stateDir = join(dir, 'state');
    mkdirSync(stateDir);
    for (const name of ['identity.json', 'head.json', 'desired', 'status'])
      cpSync(join(agent.stateDir, name), join(stateDir, name), { recursive: true });
    const load = startLoad(fleet.place('acme'));
    const record = await recordContainers(dockerAt(sharedSocket()), agent.name);
    const after = fleet.lastEvent();
    const logFrom = logOf(agent).length;
    const twin = await fleet.addAgent({ slice: clone, stateDir });
    expect(twin.host()).toBe(agent.host());
    await fleet.journal.until('that a session was superseded', (event) => event.kind === 'host.superseded', {
      after,
    });
    // The twin has no containers of its own: it makes them, on its own addresses.
    await expect
      .poll(
        async () =>
          (
            await dockerAt(sharedSocket()).listContainers({
              filters: { label: [`berth.agent=${twin.name}`] },
            })
          ).length,
        { timeout: 20_000 },
      )
      .toBeGreaterThan(0);
    const comings = fleet.journal.events.filter((event) => event.id > after && event.kind === 'host.online');
    expect(comings.length).toBe(1);
    expect(logOf(agent).slice(logFrom)).not.toContain('Connected to the coordinator');
    expect(record.events).toEqual([]);

    // Started again it is the newer one, and has its way.
    await fleet.restart(agent);
    const changed = await fleet.set('acme', { VERSION: '5' });
    await fleet.untilSettled('acme', changed.generation);
    await fleet.untilAnswers('acme', '5');
    expect((await load.stop()).failed).toEqual([]);
    record.close();
    await twin.kill();
    await clone.wipe();
    rmSync(dir, { recursive: true, force: true });
  });
});
