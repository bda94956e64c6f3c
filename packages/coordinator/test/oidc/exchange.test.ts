import { createPublicKey } from 'node:crypto';
import { SignJWT, UnsecuredJWT } from 'jose';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createClient, type ApiClient } from '@berth/shared/api/client';
import { KEY_SETTINGS, createIdentityVerifier } from '../../src/oidc/verify.ts';
import { COMPOSE, testCoordinator, type TestCoordinator } from '../support/coordinator.ts';
import { AUDIENCE, startIssuer, type Issuer } from './issuer.ts';

let c: TestCoordinator;
let issuer: Issuer;
let admin: ApiClient;
let nobody: ApiClient;
beforeEach(async () => {
  c = await testCoordinator({
    verifier: (clock) => createIdentityVerifier(clock, { ...KEY_SETTINGS, timeoutMs: 300, bytes: 20_000 }),
  });
  c.clock.time = Date.UTC(2026, 10, 20);
  issuer = await startIssuer(c.clock);
  admin = await c.client();
  nobody = createClient({ url: c.url });
});
afterEach(async () => {
  await c.close();
  await issuer.close();
});

const exchange = (token: string) => nobody.exchangeToken({ body: { token } });

async function trust(given: object = {}) {
  return await admin.addTrust({
    body: {
      issuer: issuer.url,
      audience: AUDIENCE,
      repository: 'example/shop',
      ref: 'refs/heads/main',
      apps: ['shop'],
      ...given,
    },
  });
}

async function refused(token: string, sentence: RegExp): Promise<void> {
  const call = exchange(token);
  await expect(call).rejects.toMatchObject({ code: 'unauthenticated' });
  await expect(call).rejects.toThrow(sentence);
}

describe('a job that a rule trusts', () => {
  test('gets a deployer token of the rule’s apps that soon runs out, and is on record with its repository and run', async () => {
    const rule = await trust({ ttlMs: 600_000 });
    const made = await exchange(await issuer.token());
    expect(made).toMatchObject({
      apps: ['shop'],
      name: 'example/shop run 123456',
      expiresAt: c.clock.time + 600_000,
    });
    const ci = createClient({ url: c.url, token: made.token });
    const params = { app: 'shop' };
    c.registry.digests.set('registry.test/shop-web:1', `sha256:${'a'.repeat(64)}`);
    expect(await ci.createRelease({ params, body: { compose: COMPOSE } })).toMatchObject({ release: 1 });
    await expect(ci.showApp({ params: { app: 'blog' } })).rejects.toMatchObject({ code: 'not_found' });

    const { items } = await admin.listAudit({ query: {} });
    const kept = items.find((record) => record.action === 'token.exchanged');
    expect(kept).toMatchObject({
      actor: 'oidc:example/shop run 123456',
      subject: made.id,
      after: {
        trust: [rule.id],
        said: { repository: 'example/shop', ref: 'refs/heads/main', run_id: '123456', actor: 'octocat' },
      },
    });
    expect(
      items.find((record) => record.action.startsWith('app.') || record.action.startsWith('release.'))?.actor,
    ).toBe(`token:${made.id} example/shop run 123456`);
    const events = await admin.listEvents({ query: { kind: 'token.exchanged' } });
    expect(events.items).toMatchObject([
      { app: 'shop', details: { repository: 'example/shop', run: '123456' } },
    ]);
    expect(JSON.stringify([items, events, c.logged])).not.toContain(made.token);

    c.clock.time += 600_000;
    await expect(ci.status()).rejects.toThrow(/has run out/);
  });

  test('may be one of several repositories where the rule says so, and signed with either kind of key', async () => {
    await trust({ repository: 'example/shop-*', ref: 'refs/tags/v*', ttlMs: 900_000 });
    await trust({ repository: 'example/shop-web', ref: 'refs/tags/v*', apps: ['web'], ttlMs: 60_000 });
    const claims = { repository: 'example/shop-web', ref: 'refs/tags/v1.2' };
    const made = await exchange(await issuer.token(claims, { alg: 'ES256' }));
    // Of two rules that fit it gets the apps of both, for the shorter time.
    expect(made).toMatchObject({ apps: ['shop', 'web'], expiresAt: c.clock.time + 60_000 });
  });

  test('gets nothing for the same identity token again', async () => {
    await trust();
    const token = await issuer.token();
    await exchange(token);
    await refused(token, /was exchanged already/);
  });

  test('gets nothing once the rule is removed', async () => {
    const rule = await trust();
    await admin.removeTrust({ params: { id: rule.id } });
    await refused(await issuer.token(), /no identity token of an issuer that is trusted/);
    expect((await admin.listTrust()).items).toEqual([]);
    await expect(admin.removeTrust({ params: { id: rule.id } })).rejects.toMatchObject({ code: 'not_found' });
    const actions = (await admin.listAudit({ query: {} })).items.map((record) => record.action);
    expect(actions.slice(0, 2)).toEqual(['oidc-trust.removed', 'oidc-trust.added']);
  });
});

describe('a token is refused', () => {
  beforeEach(async () => {
    await trust({ environment: 'production', repositoryId: '4711' });
  });
  const good = { environment: 'production' };

  test('that says anything else than the rule', async () => {
    await expect(exchange(await issuer.token(good))).resolves.toMatchObject({ apps: ['shop'] });
    const other: [object, RegExp][] = [
      [{ repository: 'example/other' }, /No trust rule fits a job of example\/other/],
      [{ repository: 'Example/shop' }, /No trust rule/],
      [{ repository: 'example/shop/x' }, /No trust rule/],
      [{ repository: 'evil/example/shop' }, /No trust rule/],
      [{ repository: 'example/shop\n' }, /does not say what a CI's must/],
      [{ repository_id: '4712' }, /No trust rule/],
      [{ repository_id: undefined }, /No trust rule/],
      [{ ref: 'refs/heads/main2' }, /No trust rule/],
      [{ ref: 'refs/heads/dev' }, /refs\/heads\/dev/],
      [{ ref: undefined }, /\(ref\)/],
      [{ environment: 'staging' }, /in environment staging/],
      [{ environment: undefined }, /without an environment/],
      [{ event_name: 'pull_request_target' }, /for pull_request_target/],
      [{ aud: 'https://elsewhere.example.com' }, /another audience/],
      [{ iss: 'https://token.actions.githubusercontent.com' }, /trusted here/],
      [{ jti: undefined }, /"jti"/],
    ];
    for (const [claims, sentence] of other)
      await refused(await issuer.token({ ...good, ...claims }), sentence);
  });

  test('that has run out, is not valid yet, or is from the future, beyond what clocks may differ', async () => {
    const now = c.clock.time;
    const minute = 60_000;
    await refused(await issuer.token(good, { at: now - 6 * minute }), /has run out/);
    await refused(await issuer.token(good, { at: now - 365 * 24 * 60 * minute }), /has run out|too old/);
    await refused(await issuer.token(good, { at: now + 2 * minute }), /from the future/);
    await refused(await issuer.token(good, { at: now + 60 * minute }), /from the future/);
    await refused(await issuer.token({ ...good, nbf: (now + 2 * minute) / 1000 }), /from the future/);
    // Issued long ago and said to be good for ever.
    await refused(
      await issuer.token({ ...good, iat: (now - 120 * minute) / 1000, exp: (now + 999 * minute) / 1000 }),
      /too old/,
    );
    await expect(exchange(await issuer.token(good, { at: now + 20_000 }))).resolves.toBeDefined();
    await expect(
      exchange(await issuer.token(good, { at: now - 5 * minute - 20_000 })),
    ).resolves.toBeDefined();
  });

  test('that is signed with nothing, with a public key as if it were a secret, or by somebody else', async () => {
    const seconds = Math.floor(c.clock.time / 1000);
    const claims = {
      iss: issuer.url,
      aud: AUDIENCE,
      jti: 'x',
      iat: seconds,
      exp: seconds + 300,
      repository: 'example/shop',
      repository_id: '4711',
      ref: 'refs/heads/main',
      ...good,
    };
    await refused(new UnsecuredJWT(claims).encode(), /signed in a way that is not taken|cannot be read/);
    const { kid } = issuer.publicJwk();
    const pem = createPublicKey({ key: { ...issuer.publicJwk() }, format: 'jwk' }).export({
      type: 'spki',
      format: 'pem',
    });
    const confused = new SignJWT(claims).setProtectedHeader({ alg: 'HS256', kid: kid ?? '' });
    await refused(await confused.sign(Buffer.from(pem)), /signed in a way that is not taken/);
    const impostor = await startIssuer(c.clock);
    try {
      await refused(await impostor.token({ ...claims }), /signature of this identity token does not fit/);
    } finally {
      await impostor.close();
    }
    const [head, , tail] = (await issuer.token(good)).split('.');
    const forged = Buffer.from(JSON.stringify(claims)).toString('base64url');
    await refused(`${head}.${forged}.${tail}`, /signature of this identity token does not fit/);
    const whole = await issuer.token(good);
    await refused(whole.slice(0, -4), /signature|cannot be read/);
    for (const text of ['x', 'a.b.c', '...', `${'a'.repeat(5000)}.b.c`]) await refused(text, /trusted here/);
  });
});

describe('the keys of an issuer', () => {
  beforeEach(async () => {
    await trust();
  });

  test('are kept, so that many jobs ask for them once', async () => {
    await Promise.all(Array.from({ length: 20 }, async () => exchange(await issuer.token())));
    expect(issuer.asked()).toBe(1);
    c.clock.time += KEY_SETTINGS.cacheMs;
    await exchange(await issuer.token());
    expect(issuer.asked()).toBe(2);
  });

  test('are asked for again when a token has one that is not known, but not for each such token', async () => {
    await exchange(await issuer.token());
    await issuer.rotate();
    // Too soon after the last time.
    await refused(await issuer.token(), /a key that its issuer does not publish/);
    c.clock.time += KEY_SETTINGS.coolDownMs;
    await expect(exchange(await issuer.token())).resolves.toBeDefined();
    expect(issuer.asked()).toBe(2);
    c.clock.time += KEY_SETTINGS.coolDownMs;
    for (let n = 0; n < 20; n++)
      await refused(
        await issuer.token({}, { kid: `made-up-${n}` }),
        /a key that its issuer does not publish/,
      );
    expect(issuer.asked()).toBe(3);
  });

  test('that cannot be had are the coordinator’s trouble, said as such, and not asked for by every request', async () => {
    issuer.answer((_request, response) => {
      response.statusCode = 500;
      response.end();
    });
    for (let n = 0; n < 10; n++) {
      const call = exchange(await issuer.token());
      await expect(call).rejects.toMatchObject({ code: 'unavailable' });
      await expect(call).rejects.toThrow(/it answered 500/);
    }
    expect(issuer.asked()).toBe(1);
    issuer.answer(null);
    c.clock.time += KEY_SETTINGS.coolDownMs;
    await expect(exchange(await issuer.token())).resolves.toBeDefined();
  });

  test('that were had before go on working for a day while the issuer is down, and no longer', async () => {
    await exchange(await issuer.token());
    issuer.answer((request) => request.socket.destroy());
    c.clock.time += 3_600_000;
    await expect(exchange(await issuer.token())).resolves.toBeDefined();
    c.clock.time += KEY_SETTINGS.staleMs;
    await expect(exchange(await issuer.token())).rejects.toMatchObject({ code: 'unavailable' });
  });

  test('that come slowly, are huge, come from elsewhere or are none, are given up', async () => {
    const ways: [Parameters<Issuer['answer']>[0], RegExp][] = [
      [() => {}, /no answer within 0\.3 s/],
      [
        (_request, response) => response.end(`{"keys":[],"x":"${'x'.repeat(30_000)}"}`),
        /more than 20000 bytes/,
      ],
      [
        (_request, response) => response.writeHead(302, { location: '/elsewhere' }).end(),
        /cannot be fetched/,
      ],
      [(_request, response) => response.end('<html>'), /cannot be fetched/],
      [(_request, response) => response.end('{"keys":"none"}'), /are not the keys of an issuer/],
    ];
    for (const [way, sentence] of ways) {
      issuer.answer(way);
      const call = exchange(await issuer.token());
      await expect(call).rejects.toMatchObject({ code: 'unavailable' });
      await expect(call).rejects.toThrow(sentence);
      c.clock.time += KEY_SETTINGS.coolDownMs;
    }
  });
});

test('a rule is refused that trusts too much or fetches keys in the open', async () => {
  const bad: [object, RegExp][] = [
    [{ issuer: 'http://issuer.example.com' }, /https address/],
    [{ issuer: 'https://a:b@issuer.example.com' }, /https address/],
    [{ repository: '*/shop' }, /owner and a repository/],
    [{ repository: '*' }, /owner and a repository/],
    [{ repository: 'example*/shop' }, /owner and a repository/],
    [{ repository: 'example/a*b*c*' }, /two/],
    [{ ref: 'main' }, /full ref/],
    [{ ref: '*' }, /full ref/],
    [{ apps: [] }, /apps/],
    [{ ttlMs: 3_600_001 }, /ttlMs/],
  ];
  for (const [given, sentence] of bad) {
    await expect(trust(given)).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(trust(given)).rejects.toThrow(sentence);
  }
  await expect((await c.client('operator')).listTrust()).rejects.toMatchObject({ code: 'forbidden' });
});
