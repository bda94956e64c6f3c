import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { startLoad } from '../src/local/load.ts';

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function serve(answer: (count: number) => { status: number; version: string }): Promise<number> {
  let count = 0;
  server = createServer((_request, response) => {
    count += 1;
    const { status, version } = answer(count);
    response.writeHead(status).end(JSON.stringify({ version }));
  });
  const made = server;
  await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve));
  return (made.address() as AddressInfo).port;
}

function load(port: number) {
  const markOf = (body: string): string => /"version":"(\d)"/.exec(body)?.[1] ?? 'unknown';
  return startLoad({ port, domain: 'acme.localhost', connections: 2, pauseMs: 1, markOf });
}

test('answers of both versions are counted and a clean switch has no failure', async () => {
  const port = await serve((count) => ({ status: 200, version: count <= 20 ? '1' : '2' }));
  const running = load(port);
  await expect.poll(() => running.seen('2'), { timeout: 10_000 }).toBe(true);
  const result = await running.stop();
  expect(result).toMatchObject({ failed: 0, wentBack: 0 });
  expect(result.marks['1']).toBe(20);
  expect(result.requests).toBe(20 + (result.marks['2'] ?? 0));
});

test('an answer that is no 200 is a failure, with its status', async () => {
  const port = await serve((count) => ({ status: count === 3 ? 502 : 200, version: count > 3 ? '2' : '1' }));
  const running = load(port);
  await expect.poll(() => running.seen('2'), { timeout: 10_000 }).toBe(true);
  const result = await running.stop();
  expect(result.failed).toBe(1);
  expect(result.failures[0]).toMatch(/^status 502/);
});

test('a connection that is refused is a failure, and only the first few are kept in words', async () => {
  const port = await serve(() => ({ status: 200, version: '1' }));
  const closing = server;
  server = undefined;
  await new Promise((resolve) => closing?.close(resolve));
  const result = await load(port).stop();
  expect(result).toMatchObject({ requests: 2, failed: 2, marks: {} });
  expect(result.failures.every((why) => why.includes('ECONNREFUSED'))).toBe(true);
});
