import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { AnotherMachine } from '@berth/agent/link/enrol-aws';
import { awsMachine, documentOf, regionKey } from '../fakes/aws-machines.ts';
import { pkcs7 } from '../fakes/der.ts';
import { startEc2 } from '../fakes/sts.ts';
import { enrolmentWorld, RULE, type EnrolmentWorld } from '../support/enrolment.ts';

const IdentityFile = z.object({ privateKey: z.string() });
let world: EnrolmentWorld;
beforeAll(async () => {
  world = await enrolmentWorld();
});
afterAll(async () => {
  await world.close();
});
beforeEach(() => {
  world.sts.state = 'up';
  world.sts.aheadMs = 0;
});

describe('an instance of AWS', () => {
  test('joins the pool whose rule it fits, once, and answers to the same name afterwards', async () => {
    const one = await world.host();
    const host = await one.enrol();
    expect(await one.enrol()).toBe(host);
    expect(one.imds.v1).toBe(0);
    const shown = await world.api().showHost({ params: { host } });
    expect(shown).toMatchObject({ pool: 'prod', instance: one.imds.machine.instance, name: 'web-1' });
    const enrolled = (await world.events('host.enrolled')).filter((event) => event.host === host);
    expect(enrolled).toHaveLength(1);
    const { items } = await world.api().listAudit({ query: {} });
    const audited = items.filter((row) => row.subject === host);
    expect(audited.map((row) => [row.action, row.actor])).toEqual([
      ['host.enrolled', `instance:${one.imds.machine.instance}`],
    ]);
    expect(JSON.stringify(audited)).not.toContain(one.imds.machine.sessionToken);
  });

  test('whose answer was lost asks again and is the same host', async () => {
    const one = await world.host();
    const host = await one.enrol();
    const path = join(one.directory, 'identity.json');
    writeFileSync(path, readFileSync(path, 'utf8').replace(`"${host}"`, 'null'));
    const again = await world.host(one.imds.machine, one.directory);
    expect(again.identity.host()).toBeNull();
    expect(await again.enrol()).toBe(host);
  });

  test('that does not fit the rule is refused, with what does not fit', async () => {
    const cases: [Parameters<typeof awsMachine>[0], RegExp][] = [
      [{ account: '999999999999' }, /its account is 999999999999, and the rule asks for 123456789012/],
      [{ role: 'other-role' }, /its role is other-role/],
      [{ image: 'ami-00000000000000bad' }, /its image is ami-00000000000000bad/],
      [{ startedAt: Date.now() + 86_400_000 }, /starts 24 hours from now; is the coordinator's clock right/],
    ];
    for (const [change, why] of cases) {
      const one = await world.host(awsMachine(change));
      const error = await one.refused();
      expect(error.code).toBe('unauthenticated');
      expect(error.message).toMatch(why);
      const events = await world.events('host.enrolment_refused');
      expect(events.some((event) => event.details['instance'] === one.imds.machine.instance)).toBe(true);
    }
    const nowhere = await (await world.host()).refused('staging');
    expect(nowhere.message).toMatch(/No instance may join the pool staging by itself/);
    const pretended = await (await world.host(awsMachine({ region: 'us-east-1' }))).refused();
    // A region whose certificate comes with Berth: what our double signs is not signed by AWS.
    expect(pretended.message).toMatch(/not made with the key of this region/);
    const abroad = await (await world.host(awsMachine({ region: 'ap-east-2' }))).refused();
    expect(abroad.message).toMatch(/enrolment\.certificates\.ap-east-2/);
  });

  test('is asked for its tags when the rule has some', async () => {
    const caller = awsMachine({ instance: 'i-0000000000000cafe' });
    const tagged = awsMachine({ tags: { env: 'prod', 'a&b': '<x>' } });
    const plain = awsMachine({ tags: { env: 'dev' } });
    const ec2 = await startEc2(caller, [tagged, plain]);
    process.env['AWS_ACCESS_KEY_ID'] = caller.accessKeyId;
    process.env['AWS_SECRET_ACCESS_KEY'] = caller.secretAccessKey;
    process.env['AWS_SESSION_TOKEN'] = caller.sessionToken;
    const other = await enrolmentWorld({ ec2Endpoint: ec2.url });
    try {
      const aws = { ...RULE, tags: { env: 'prod', 'a&b': '<x>' } };
      await other.api().setPoolJoin({ params: { pool: 'prod' }, body: { aws } });
      await (await other.host(tagged)).enrol();
      expect((await (await other.host(plain)).refused()).message).toMatch(/its tag env is "dev"/);
      expect((await (await other.host()).refused()).message).toMatch(/cannot ask EC2 for the tags/);
      ec2.state = 'silent';
      expect((await (await other.host(awsMachine({ tags: tagged.tags }))).refused()).message).toMatch(
        /did not answer within/,
      );
    } finally {
      for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN'])
        delete process.env[name];
      await other.close();
      await ec2.close();
    }
  });
});

describe('a proof', () => {
  test('with the document of another machine proves nothing, and both are named', async () => {
    const victim = await world.host();
    const thief = await world.host();
    const document = documentOf(victim.imds.machine);
    thief.imds.altered = { document, rsa2048: world.region.sign(document) };
    const error = await thief.refused();
    expect(error.message).toContain(victim.imds.machine.instance);
    expect(error.message).toContain(thief.imds.machine.instance);
    const [event] = (await world.events('host.enrolment_refused')).filter(
      ({ details }) => details['other'] === thief.imds.machine.instance,
    );
    expect(event?.details['instance']).toBe(victim.imds.machine.instance);
    // The machine itself is none the worse for it.
    await victim.enrol();
  });

  test('with an altered document, or one signed by somebody else, is refused before STS is asked', async () => {
    const one = await world.host();
    const document = documentOf(one.imds.machine);
    const asked = world.sts.said.length;
    const other = document.replace(RULE.images[0] ?? '', 'ami-00000000000000bad');
    const cases: { document: string; rsa2048: string }[] = [
      { document: other, rsa2048: world.region.sign(document) },
      { document, rsa2048: regionKey().sign(document) },
      { document, rsa2048: pkcs7(document, world.region.key, { inside: other }).toString('base64') },
      { document, rsa2048: 'AAAA' },
    ];
    for (const altered of cases) {
      one.imds.altered = altered;
      expect((await one.refused()).message).toMatch(/is not proven: its signature/);
    }
    expect(world.sts.said).toHaveLength(asked);
    one.imds.altered = null;
    await one.enrol();
  });

  test('signed with credentials that STS does not know, or a wrong secret, is refused', async () => {
    const one = await world.host();
    one.imds.machine = { ...one.imds.machine, secretAccessKey: 'wrong' };
    expect((await one.refused()).message).toMatch(/something was altered on the way/);
    one.imds.machine = { ...one.imds.machine, accessKeyId: 'ASIAUNKNOWNUNKNOWN00' };
    expect((await one.refused()).message).toMatch(/does not know these credentials/);
  });

  test('of the same instance in another account is refused, whatever the document says', async () => {
    const one = await world.host();
    const thief = awsMachine({ instance: one.imds.machine.instance, account: '999999999999' });
    world.sts.machines.push(thief);
    const document = documentOf(one.imds.machine);
    one.imds.machine = thief;
    one.imds.altered = { document, rsa2048: world.region.sign(document) };
    expect((await one.refused()).message).toMatch(/was signed in account 999999999999/);
  });
});

describe('a copy', () => {
  test('of a running host’s disk is not that host: it has to enrol anew', async () => {
    const one = await world.host();
    const host = await one.enrol();
    const copy = await world.host(awsMachine(), one.directory);
    await expect(copy.enrol()).rejects.toBeInstanceOf(AnotherMachine);
    expect(copy.identity.host()).toBe(host);
  });

  test('of a key is refused at the coordinator, which names both; the copy makes a key of its own', async () => {
    const one = await world.host();
    const host = await one.enrol();
    const copy = await world.host();
    // An image that was made after the first start: the key is in it, and nothing that says whose it is.
    const saved = IdentityFile.parse(JSON.parse(readFileSync(join(one.directory, 'identity.json'), 'utf8')));
    const baked = { privateKey: saved.privateKey, host: null };
    writeFileSync(join(copy.directory, 'identity.json'), JSON.stringify(baked));
    const booted = await world.host(copy.imds.machine, copy.directory);
    expect(booted.identity.publicKey).toBe(one.identity.publicKey);
    const error = await booted.refused();
    expect(error.message).toContain(`with the key of host ${host}, which is ${one.imds.machine.instance}`);
    const [event] = (await world.events('host.clone_refused')).filter((each) => each.host === host);
    expect(event?.details).toMatchObject({
      instance: booted.imds.machine.instance,
      other: one.imds.machine.instance,
      host,
    });
    expect(booted.identity.publicKey).not.toBe(one.identity.publicKey);
    expect(await booted.enrol()).not.toBe(host);
  });

  test('a second key for an instance waits for an operator, for whom it is one audited act', async () => {
    const one = await world.host();
    const host = await one.enrol();
    const reborn = await world.host(one.imds.machine);
    const error = await reborn.refused();
    expect(error.message).toContain(`is host ${host} already, with another key`);
    expect(error.message).toContain(`berth host reenrol ${host}`);
    const events = (await world.events('host.clone_refused')).filter((each) => each.host === host);
    expect(events).toHaveLength(1);
    // Asking again raises no second alarm.
    await reborn.refused();
    expect((await world.events('host.clone_refused')).filter((each) => each.host === host)).toHaveLength(1);

    const opened = await world.api().reenrolHost({ params: { host } });
    expect(opened).toMatchObject({ host, instance: one.imds.machine.instance });
    expect(await reborn.enrol()).toBe(host);
    // The window was for one key.
    const third = await world.host(one.imds.machine);
    expect((await third.refused()).message).toContain('already, with another key');
    const { items } = await world.api().listAudit({ query: {} });
    expect(items.filter((row) => row.subject === host).map((row) => row.action)).toEqual([
      'host.reenrolled',
      'host.reenrol-opened',
      'host.enrolled',
    ]);
  });

  test('an instance whose host was removed does not come back by itself', async () => {
    const one = await world.host();
    const host = await one.enrol();
    await world.api().removeHost({ params: { host } });
    const again = await world.host(one.imds.machine);
    expect((await again.refused()).message).toMatch(/which an admin removed/);
  });

  test('a host that joined with a token has no instance to enrol again', async () => {
    const { token } = await world.api().createJoinToken({ body: { pool: 'prod' } });
    const { identity } = await world.host();
    const body = { token, publicKey: identity.publicKey, name: 'plain' };
    const { host } = await world.api().enrolHost({ body });
    await expect(world.api().reenrolHost({ params: { host } })).rejects.toThrow(/joined with a token/);
  });
});

describe('when something is down', () => {
  test('IMDS that is off, silent or cut lets nobody in, not even with a saved identity', async () => {
    const one = await world.host();
    for (const state of ['off', 'silent', 'cut'] as const) {
      one.imds.state = state;
      expect((await one.refused()).message).toMatch(/cannot show who it is, and waits/);
    }
    one.imds.state = 'up';
    const host = await one.enrol();
    one.imds.state = 'off';
    expect((await one.refused()).code).toBe('unavailable');
    one.imds.state = 'up';
    expect(await one.enrol()).toBe(host);
    expect(one.imds.v1).toBe(0);
  });

  test('STS that throttles, breaks, says nothing or nonsense is waited for, with a sentence', async () => {
    const one = await world.host();
    const cases = [
      ['throttled', /STS cannot tell now whose signature this is \(400 Throttling\)/],
      ['broken', /STS cannot tell now whose signature this is \(503\)/],
      ['silent', /did not answer within 1000 ms; try again/],
      ['redirect', /it answered 302/],
      ['html', /not a GetCallerIdentityResponse/],
    ] as const;
    for (const [state, why] of cases) {
      world.sts.state = state;
      expect((await one.refused()).message, state).toMatch(why);
    }
    world.sts.state = 'up';
    await one.enrol();
  });
});

describe('clocks', () => {
  test('of a host that are an hour or a year off are told of', async () => {
    const one = await world.host();
    const hour = 3_600_000;
    for (const [ahead, why] of [
      [hour, /The clock of the host is 60 minutes ahead of the coordinator's/],
      [-hour, /The clock of the host is 60 minutes behind the coordinator's/],
      [365 * 24 * hour, /The clock of the host is 365 days ahead of the coordinator's/],
      [-365 * 24 * hour, /The clock of the host is 365 days behind the coordinator's/],
    ] as const) {
      one.aheadMs = ahead;
      expect((await one.refused()).message).toMatch(why);
    }
    one.aheadMs = 0;
    await one.enrol();
  });

  test('of the coordinator, likewise; and of both, by what STS says', async () => {
    const one = await world.host();
    const hour = 3_600_000;
    for (const ahead of [hour, -hour, 365 * 24 * hour, -365 * 24 * hour]) {
      await world.restart(ahead);
      expect((await one.refused()).message).toMatch(
        new RegExp(`The clock of the host is .* ${ahead > 0 ? 'behind' : 'ahead of'} the coordinator's`),
      );
    }
    await world.restart(hour);
    one.aheadMs = hour;
    expect((await one.refused()).message).toMatch(
      /STS refuses the signature for its time. By its clock the coordinator's is 60 minutes ahead/,
    );
    await world.restart();
    one.aheadMs = 0;
    await one.enrol();
  });
});
