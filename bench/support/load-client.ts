import { Agent, request } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { z } from 'zod';
import { now } from './bench.ts';

/**
 * The load of `load.ts`. Each connection asks, reads the whole answer, pauses and asks again. Everything that is not a
 * whole answer with status 200 is a failed request: a reset or refused connection, an early end, a time-out.
 */
const target = z
  .object({ port: z.number(), host: z.string(), connections: z.number(), pauseMs: z.number() })
  .parse(JSON.parse(process.argv[2] ?? ''));

const seen = new Set<string>();
const failures: string[] = [];
let requests = 0;
let failed = 0;
let stopping = false;

function ask(agent: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    const req = request(
      { host: '127.0.0.1', port: target.port, path: '/', agent, headers: { host: target.host } },
      (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (part: string) => (body += part));
        response.on('end', () => {
          if (response.statusCode === 200 && response.complete) resolve(body);
          else reject(new Error(`status ${response.statusCode}`));
        });
        response.on('error', reject);
      },
    );
    req.setTimeout(10_000, () => req.destroy(new Error('no answer within 10 s')));
    req.on('error', reject);
    req.end();
  });
}

async function connection(index: number): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  await wait((index * target.pauseMs) / target.connections);
  while (!stopping) {
    requests += 1;
    try {
      const body = await ask(agent);
      if (!seen.has(body)) {
        seen.add(body);
        process.send?.({ kind: 'seen', body, at: now() });
      }
    } catch (thrown) {
      failed += 1;
      const text = `${new Date().toISOString()} ${thrown instanceof Error ? thrown.message : String(thrown)}`;
      if (failures.length < 20) failures.push(text);
      await wait(20);
    }
    if (target.pauseMs > 0) await wait(target.pauseMs);
  }
  agent.destroy();
}

process.on('message', () => (stopping = true));
process.on('disconnect', () => process.exit());
await Promise.all(Array.from({ length: target.connections }, (_unused, index) => connection(index)));
process.send?.({ kind: 'counted', requests, failed, failures });
