import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { API_PREFIX } from '@berth/shared/api/routes';
import type { Event } from '@berth/shared/api/schemas';
import { testCoordinator, type TestCoordinator } from '../support/coordinator.ts';
import { BY } from '../support/samples.ts';

let c: TestCoordinator;
afterEach(async () => {
  await c.close();
});

async function happen(count: number, tenant = 'acme', message = 'changed'): Promise<void> {
  await c.store.mutate(BY, 1, async (tx) => {
    await tx.addEvents(
      Array.from({ length: count }, () => ({
        kind: 'tenant.changed' as const,
        at: 1,
        tenant,
        app: 'shop',
        host: null,
        generation: 1,
        message,
        details: {},
      })),
    );
    return { result: null, audit: { action: 'test', subject: tenant, before: null, after: null } };
  });
}

async function follow(query: { after?: number; tenant?: string }, count: number): Promise<Event[]> {
  const client = await c.client('viewer');
  const stop = new AbortController();
  const events: Event[] = [];
  for await (const event of client.followEvents(query, stop.signal)) {
    events.push(event);
    if (events.length >= count) break;
  }
  stop.abort();
  return events;
}
const stream = (token: string, query = '', headers: Record<string, string> = {}) =>
  fetch(`${c.url}${API_PREFIX}/events/stream${query}`, {
    headers: { authorization: `Bearer ${token}`, ...headers },
  });

async function textUntil(response: Response, enough: (text: string) => boolean): Promise<string> {
  const reader: ReadableStreamDefaultReader<Uint8Array> | undefined = response.body?.getReader();
  if (reader === undefined) throw new Error('no body');
  const decoder = new TextDecoder();
  let text = '';
  while (!enough(text)) {
    const { done, value } = await reader.read();
    if (done) break;
    text += decoder.decode(value, { stream: true });
  }
  await reader.cancel();
  return text;
}

describe('the event stream', () => {
  test('goes on after a number without a gap or a repeat, from before and live', async () => {
    c = await testCoordinator();
    await happen(5);
    const followed = follow({ after: 2 }, 6);
    await happen(3);
    expect((await followed).map((event) => event.id)).toEqual([3, 4, 5, 6, 7, 8]);
  });

  test('has no character that a terminal would act upon, whatever a host has said', async () => {
    c = await testCoordinator();
    await happen(1, 'acme', 'up\u009b2J \u202e down \u001b[31m');
    const response = await stream(await c.token('viewer'), '?after=0');
    const text = await textUntil(response, (seen) => seen.includes('down'));
    expect(text).toContain('up\\u009b2J \\u202e down \\u001b[31m');
    expect(text).not.toMatch(/[\u001b\u007f-\u009f\u202e]/);
  });

  test('resumes after Last-Event-ID, which wins over the query', async () => {
    c = await testCoordinator();
    await happen(4);
    const response = await stream(await c.token('viewer'), '?after=1', { 'last-event-id': '3' });
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    const text = await textUntil(response, (seen) => seen.includes('id: 4'));
    expect(text).toContain('id: 4\nevent: tenant.changed\ndata: {"id":4,');
    expect(text).not.toContain('id: 3\n');
  });

  test('keeps to its filter', async () => {
    c = await testCoordinator();
    const followed = follow({ after: 0, tenant: 'globex' }, 2);
    await happen(2, 'acme');
    await happen(1, 'globex');
    await happen(1, 'acme');
    await happen(1, 'globex');
    expect((await followed).map((event) => event.id)).toEqual([3, 5]);
  });

  test('refuses callers without a token and queries that make no sense', async () => {
    c = await testCoordinator();
    expect((await stream('nonsense')).status).toBe(401);
    expect((await stream(await c.token('viewer'), '?after=-1')).status).toBe(400);
    expect((await stream(await c.token('viewer'), '?tenant=A_B')).status).toBe(400);
  });

  test('says that it is still there when nothing happens', async () => {
    c = await testCoordinator({ streamHeartbeatMs: 5 });
    const response = await stream(await c.token('viewer'));
    const text = await textUntil(response, (seen) => seen.split(': still here').length > 3);
    expect(text).toMatch(/^: follows\n\n(: still here\n\n)+/);
  });

  test('ends when the coordinator stops', async () => {
    c = await testCoordinator();
    const response = await stream(await c.token('viewer'));
    const ended = textUntil(response, () => false);
    c.stop.abort();
    expect(await ended).toBe(': follows\n\n');
  });

  test('is not held up by a reader that does not read, and such a reader costs a bounded amount', async () => {
    c = await testCoordinator();
    const token = await c.token('viewer');
    const { hostname, port } = new URL(c.url);
    const stuck = connect(Number(port), hostname);
    stuck.pause();
    stuck.write(
      `GET ${API_PREFIX}/events/stream?after=0 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n\r\n`,
    );
    try {
      const followed = follow({ after: 0 }, 20_000);
      let reads = 0;
      const events = c.store.events;
      c.store.events = (...args) => {
        reads += 1;
        return events(...args);
      };
      for (let n = 0; n < 20; n++) await happen(1000);
      expect((await followed).length).toBe(20_000);
      // One shared read per page of new events; the stuck one, unread, has asked for a page or two at most.
      expect(reads).toBeLessThan(200);
    } finally {
      stuck.destroy();
    }
  });
});
