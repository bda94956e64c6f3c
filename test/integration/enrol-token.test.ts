import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { enrolmentWorld, type EnrolmentWorld } from '../support/enrolment.ts';

let world: EnrolmentWorld;
beforeAll(async () => {
  world = await enrolmentWorld();
});
afterAll(async () => {
  await world.close();
});

const token = async (ttlMs = 900_000): Promise<string> =>
  (await world.api().createJoinToken({ body: { pool: 'prod', ttlMs } })).token;
const publicKey = (): string =>
  generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
const enrol = (given: string, name = 'web-1') =>
  world.api().enrolHost({ body: { token: given, publicKey: publicKey(), name } });

test('a token that lacks a character, or has a wrong one, says so and is still good', async () => {
  const given = await token();
  await expect(enrol(given.slice(0, -1))).rejects.toThrow(/cut off: a character is missing/);
  await expect(enrol(given.slice(1))).rejects.toThrow(/not a token of Berth/);
  const swapped = given.slice(0, -1) + (given.endsWith('0') ? '1' : '0');
  await expect(enrol(swapped)).rejects.toThrow(/mistyped/);
  await expect(enrol(given.replace('join', 'api'))).rejects.toThrow(/another kind/);
  await enrol(given);
});

test('of many hosts with one token at the same moment one is let in, and people hear of the others', async () => {
  const given = await token();
  const outcomes = await Promise.allSettled(Array.from({ length: 10 }, (_, n) => enrol(given, `web-${n}`)));
  const good = outcomes.flatMap((each) => (each.status === 'fulfilled' ? [each.value.host] : []));
  expect(good).toHaveLength(1);
  for (const each of outcomes)
    if (each.status === 'rejected') expect(String(each.reason)).toMatch(/was used by another host/);
  const events = await world.events('host.enrolment_refused');
  expect(events.filter((event) => event.host === good[0])).toHaveLength(9);
  expect(events[0]?.message).toContain(good[0]);
  const { items } = await world.api().listAudit({ query: {} });
  expect(items.filter((row) => row.subject === good[0])).toHaveLength(1);
});

test('a token that has run out says so, by the coordinator’s clock', async () => {
  const given = await token(60_000);
  await world.restart(3_600_000);
  await expect(enrol(given)).rejects.toThrow(/has run out/);
  // A coordinator whose clock was an hour ahead for a while has not used up the token.
  await world.restart();
  await enrol(given);
});
