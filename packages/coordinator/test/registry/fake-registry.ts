import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createCredentials } from '@berth/shared/registry/credentials';
import type { RegistryConfig } from '@berth/shared/registry/config';
import { createRegistry } from '../../src/registry/client.ts';
import type { Registry } from '../../src/services/registry.ts';

export interface Asked {
  method: string;
  path: string;
  query: URLSearchParams;
  authorization: string | null;
  accept: string;
}

export type Answers = (asked: Asked, response: ServerResponse) => void;

export interface FakeServer {
  host: string;
  url: string;
  asked: Asked[];
  close(): Promise<void>;
}

/** An HTTP server on a free port of the loopback interface that answers as it is told. */
export async function serve(answers: Answers): Promise<FakeServer> {
  const asked: Asked[] = [];
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const url = new URL(request.url ?? '/', 'http://x');
    const one: Asked = {
      method: request.method ?? '',
      path: url.pathname,
      query: url.searchParams,
      authorization: request.headers.authorization ?? null,
      accept: request.headers.accept ?? '',
    };
    asked.push(one);
    answers(one, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const host = `127.0.0.1:${address.port}`;
  return {
    host,
    url: `http://${host}`,
    asked,
    async close() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

export interface ClientWorld {
  registry: Registry;
  clock: { time: number; now(): number };
  /** The pauses that were asked for; none is really made. */
  pauses: number[];
  passwords: Map<string, string>;
}

export function clientFor(registries: RegistryConfig[] = [], attemptMs = 2_000): ClientWorld {
  const clock = {
    time: 1_000_000,
    now() {
      return this.time;
    },
  };
  const pauses: number[] = [];
  const passwords = new Map<string, string>();
  let tokens = 0;
  const credentials = createCredentials({
    registries,
    clock,
    readFile: (path) => Promise.resolve(passwords.get(path) ?? ''),
    fetchEcrToken: () => {
      tokens += 1;
      return Promise.resolve({
        username: 'AWS',
        password: `ecr-${tokens}`,
        expiresAt: clock.time + 43_200_000,
      });
    },
  });
  const registry = createRegistry({
    registries,
    credentials,
    clock,
    random: () => 1,
    attemptMs,
    sleep: (ms, signal) => {
      pauses.push(ms);
      signal.throwIfAborted();
      return Promise.resolve();
    },
  });
  return { registry, clock, pauses, passwords };
}

export const basic = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
