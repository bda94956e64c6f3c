import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { EnrolAws } from '@berth/shared/api/enrolment';
import { challengeHeader, possessionText } from '@berth/shared/protocol/enrolment';
import { signIdentityRequest } from '@berth/agent/link/aws-sign-sdk';
import { awsMachine, documentOf, type AwsMachine } from '../fakes/aws-machines.ts';
import { enrolmentWorld, type EnrolmentWorld } from '../support/enrolment.ts';

let world: EnrolmentWorld;
beforeAll(async () => {
  world = await enrolmentWorld();
});
afterAll(async () => {
  await world.close();
});

function key() {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return {
    publicKey: publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
    sign: (text: string) => sign(null, Buffer.from(text), privateKey).toString('base64'),
  };
}

const challenge = async (): Promise<string> => (await world.api().enrolChallenge()).challenge;

/** What an agent on this machine sends, made by hand so that each part of it can be another one's. */
async function proof(of: AwsMachine, by: string, own = key()): Promise<EnrolAws> {
  if (!world.sts.machines.includes(of)) world.sts.machines.push(of);
  const document = documentOf(of);
  return {
    pool: 'prod',
    name: 'web-1',
    publicKey: own.publicKey,
    challenge: by,
    possession: own.sign(possessionText(by)),
    aws: {
      sts: await signIdentityRequest({
        endpoint: new URL(world.sts.url),
        region: of.region,
        credentials: of,
        header: challengeHeader(by, own.publicKey),
        at: Date.now(),
      }),
      document,
      rsa2048: world.region.sign(document),
    },
  };
}

const send = (body: EnrolAws) => world.api().enrolHost({ body });

test('a proof is good once', async () => {
  const machine = awsMachine();
  const first = await proof(machine, await challenge());
  await send(first);
  await expect(send(first)).rejects.toThrow(/This challenge was used before/);
  // Also at the same moment, and also when it was refused.
  const second = await proof(awsMachine(), await challenge());
  const outcomes = await Promise.allSettled([send(second), send(second), send(second)]);
  expect(outcomes.map((each) => each.status).sort()).toEqual(['fulfilled', 'rejected', 'rejected']);
});

test('a proof that somebody else recorded binds no other key', async () => {
  const machine = awsMachine();
  const given = await challenge();
  const theirs = await proof(machine, given);
  const mine = key();
  const stolen = { ...theirs, publicKey: mine.publicKey, possession: mine.sign(possessionText(given)) };
  await expect(send(stolen)).rejects.toThrow(/not made of this challenge and this key/);
  const fresh = await challenge();
  await expect(send({ ...theirs, challenge: fresh })).rejects.toThrow(/does not hold the key that it names/);
  const moved = { ...stolen, challenge: fresh, possession: mine.sign(possessionText(fresh)) };
  await expect(send(moved)).rejects.toThrow(/not made of this challenge/);
  // Rewriting the header breaks the signature, which STS sees.
  const header = challengeHeader(fresh, mine.publicKey);
  const headers = { ...theirs.aws.sts.headers, 'x-berth-challenge': header };
  const rewritten = { ...moved, aws: { ...theirs.aws, sts: { ...theirs.aws.sts, headers } } };
  await expect(send(rewritten)).rejects.toThrow(/something was altered on the way/);
  // Whose it is loses nothing by all that.
  await send(theirs);
});

test('nobody enrols a key that is not theirs', async () => {
  const victim = key();
  const given = await challenge();
  const body = await proof(awsMachine(), given, { publicKey: victim.publicKey, sign: key().sign });
  await expect(send(body)).rejects.toThrow(/does not hold the key that it names/);
});

test('a challenge that was made up, altered, or has run out is refused', async () => {
  const made = `c1.${'A'.repeat(24)}.mfy00000.${createHash('sha256').update('x').digest('base64url')}`;
  await expect(send(await proof(awsMachine(), made))).rejects.toThrow(/not one of this coordinator/);
  const given = await challenge();
  await expect(send(await proof(awsMachine(), `${given.slice(0, -1)}_`))).rejects.toThrow(
    /not one of|altered/,
  );
  await world.restart(150_000);
  await expect(send(await proof(awsMachine(), given))).rejects.toThrow(/has run out before the proof came/);
  await world.restart();
  // After a restart, with the right time, it is as good as before.
  await send(await proof(awsMachine(), given));
});

test('a body with more, less, or larger parts than a proof has is refused with the field', async () => {
  const good = await proof(awsMachine(), await challenge());
  const url = `${world.coordinator.url()}/api/v1/hosts/enrol`;
  const post = async (body: unknown): Promise<{ status: number; text: string }> => {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
    return { status: answer.status, text: await answer.text() };
  };
  for (const body of [
    null,
    [],
    { ...good, admin: true },
    { ...good, pool: '../prod' },
    { ...good, name: 'a\u001b[31m' },
    { ...good, aws: { ...good.aws, document: 'x'.repeat(9000) } },
    { ...good, aws: { ...good.aws, sts: { ...good.aws.sts, headers: { a: 'x'.repeat(5000) } } } },
    { ...good, token: 'berth_join_x' },
  ])
    expect((await post(body)).status).toBe(400);
  expect((await post({ ...good, publicKey: 'AAAA' })).status).toBe(400);
  expect((await post({ ...good, aws: 'x'.repeat(2_000_000) })).status).toBe(413);
  await send(good);
});
