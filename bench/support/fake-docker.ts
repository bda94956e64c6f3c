import { createServer, type ServerResponse } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { z } from 'zod';
import { now } from './bench.ts';

/**
 * A Docker daemon's API over a unix socket, in a process of its own, with the latencies of the real one (20.10, on the
 * machine of docs/performance.md): a list takes longer the more containers there are. It holds the containers it is
 * given, and lets one die when told to: first the state, then the event, as Docker does.
 */
const LIST_MS_PER_THOUSAND = 60;
/** How many entries read differently from one list to the next: "Up 3 minutes" becomes "Up 4 minutes". */
const AGEING = 50;
const INSPECT_MS = 3;
const NETWORKS_MS = 20;

const Entry = z.looseObject({ Id: z.string(), Labels: z.record(z.string(), z.string()) });
const Order = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('hold'),
    containers: z.array(Entry),
    networks: z.array(z.unknown()),
  }),
  z.object({ kind: z.literal('die'), id: z.string() }),
  z.object({ kind: z.literal('revive'), id: z.string() }),
  z.object({ kind: z.literal('count') }),
]);

const socket = process.argv[2] ?? '';
let containers: z.infer<typeof Entry>[] = [];
let networks: readonly unknown[] = [];
const listeners = new Set<ServerResponse>();
const counts = { list: 0, inspect: 0, other: 0 };

const server = createServer((request, response) => {
  void answer(request.url ?? '', response);
});

async function answer(url: string, response: ServerResponse): Promise<void> {
  response.setHeader('Api-Version', '1.41');
  const path = url.replace(/^\/v1\.\d+/, '').split('?')[0] ?? '';
  if (path === '/_ping') {
    response.end('OK');
    return;
  }
  response.setHeader('Content-Type', 'application/json');
  if (path === '/events') {
    listeners.add(response);
    response.on('close', () => listeners.delete(response));
    response.flushHeaders();
    return;
  }
  if (path === '/containers/json') {
    counts.list += 1;
    age();
    // What it answers is what was so when it was asked.
    const body = JSON.stringify(containers);
    await wait((LIST_MS_PER_THOUSAND * containers.length) / 1000);
    response.end(body);
  } else if (path === '/networks') {
    counts.other += 1;
    await wait(NETWORKS_MS);
    response.end(JSON.stringify(networks));
  } else if (path === '/info') {
    counts.other += 1;
    response.end(JSON.stringify({ DockerRootDir: '/' }));
  } else {
    counts.inspect += 1;
    await wait(INSPECT_MS);
    response.statusCode = 404;
    response.end(JSON.stringify({ message: `no such thing: ${path}` }));
  }
}

function age(): void {
  const first = (counts.list * AGEING) % Math.max(1, containers.length);
  containers = containers.map((each, index) =>
    index >= first && index < first + AGEING && each['State'] === 'running'
      ? { ...each, Status: `Up ${counts.list} minutes` }
      : each,
  );
}

function turn(id: string, state: 'running' | 'exited'): void {
  containers = containers.map((each) =>
    each.Id === id
      ? { ...each, State: state, Status: state === 'running' ? 'Up 1 second' : 'Exited (1) 1 second ago' }
      : each,
  );
  const found = containers.find((each) => each.Id === id);
  const event = {
    Type: 'container',
    Action: state === 'running' ? 'start' : 'die',
    Actor: { ID: id, Attributes: found?.Labels ?? {} },
    timeNano: now() * 1e6,
  };
  for (const listener of listeners) listener.write(`${JSON.stringify(event)}\n`);
}

process.on('message', (raw) => {
  const order = Order.parse(raw);
  switch (order.kind) {
    case 'hold':
      ({ containers, networks } = order);
      break;
    case 'die':
      turn(order.id, 'exited');
      break;
    case 'revive':
      turn(order.id, 'running');
      break;
    case 'count':
      break;
  }
  process.send?.({ at: now(), watched: listeners.size, ...counts });
});
process.on('disconnect', () => process.exit());
server.listen(socket, () => process.send?.({ at: now(), watched: 0, ...counts }));
