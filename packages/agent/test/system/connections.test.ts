import { expect, test } from 'vitest';
import { Connections, countsFrom } from '../../src/system/connections.ts';

const line = (client: number, container: string): string =>
  `tcp      6 431999 ESTABLISHED src=127.0.0.1 dst=198.18.0.1 sport=${client} dport=80 src=${container} dst=127.0.0.1 sport=8080 dport=${client} [ASSURED] mark=0 use=1`;

test('connections are counted by the container that answers them', () => {
  const listing = [line(40_001, '198.19.0.2'), line(40_002, '198.19.0.2'), line(40_003, '198.19.0.66')].join(
    '\n',
  );
  expect(Object.fromEntries(countsFrom(listing))).toEqual({ '198.19.0.2': 2, '198.19.0.66': 1 });
  expect(countsFrom('').size).toBe(0);
});

test('drains that ask while a listing runs share the next one, which begins after they asked', async () => {
  const answers: ((text: string) => void)[] = [];
  const connections = new Connections(() => new Promise((resolve) => answers.push(resolve)));
  const first = connections.open();
  await Promise.resolve();
  await Promise.resolve();
  expect(answers).toHaveLength(1);
  const second = connections.open();
  const third = connections.open();
  expect(third).toBe(second);
  answers[0]?.(line(1, '198.19.0.2'));
  expect((await first).get('198.19.0.2')).toBe(1);
  await new Promise((resolve) => setImmediate(resolve));
  expect(answers).toHaveLength(2);
  answers[1]?.('');
  expect((await second).size).toBe(0);
});

test('a listing that fails fails those who asked for it and nobody after them', async () => {
  let fails = true;
  const connections = new Connections(() =>
    fails ? Promise.reject(new Error('no conntrack')) : Promise.resolve(''),
  );
  await expect(connections.open()).rejects.toThrow('no conntrack');
  fails = false;
  expect((await connections.open()).size).toBe(0);
});
