import { describe, expect, it } from 'vitest';
import { BerthError } from '@berth/shared/domain/errors';
import { signRelease } from '@berth/shared/domain/signature';
import { standingOf, type SignedSigners } from '@berth/shared/domain/signers';
import type { DesiredTenant } from '@berth/shared/domain/desired';
import { createSigners } from '../../src/desired/signers.ts';
import { ReleaseRules } from '../../src/desired/vet.ts';
import { silentLog } from '../../src/state/ports.ts';
import { signerPair, statementOf, type SignerPair } from '../support/signers.ts';
import { desiredTenant, serviceSpec } from '../support/specs.ts';

const ci = signerPair('ci');
const next = signerPair('next');
const thief = signerPair('thief');

function entry(signer: SignerPair | null): DesiredTenant {
  const image = `r.test/web@sha256:${'1'.repeat(64)}`;
  const bare = desiredTenant('acme', 1, { services: [serviceSpec('web', { image })] });
  if (signer === null) return bare;
  const { app, release, spec } = bare;
  const value = signRelease(signer.privateKey, { app, release, open: {}, spec });
  return { ...bare, signature: { open: {}, by: [{ key: signer.name, value }] } };
}

function room(options: { rules?: object; pool?: string; kept?: SignedSigners; disk?: 'full' } = {}) {
  let kept = options.kept ?? null;
  const told: string[] = [];
  const signers = createSigners({
    rules: ReleaseRules.parse(options.rules ?? {}),
    pool: options.pool ?? null,
    store: {
      current: () => kept,
      async pin(statement) {
        kept = statement;
        if (options.disk === 'full') throw new BerthError('state_unwritable', 'the disk is full');
        await Promise.resolve();
      },
    },
    log: silentLog,
    pinned: ({ signers: { version } }, message) => told.push(`pinned ${version}: ${message}`),
    refused: (why, message) => told.push(`refused, ${why}: ${message}`),
    changed: () => told.push('looked at anew'),
  });
  const receive = async (...chain: SignedSigners[]) =>
    (await signers.receive({ type: 'signers', pool: 'prod', chain })).facts;
  return { ...signers, receive, told, kept: () => kept };
}

describe('what a pool says of whose releases a host runs', () => {
  it('is nothing until it has been told, and then holds for whatever comes', async () => {
    const host = room();
    expect(host.facts()).toEqual({ poolSigners: 'none' });
    expect(host.vet(entry(null))).toBeNull();
    expect(await host.receive()).toEqual({ poolSigners: 'none' });
    expect(host.told).toEqual([]);
    const first = statementOf(1, [ci], [ci]);
    expect(await host.receive(first)).toMatchObject({
      poolSigners: standingOf(first),
      releaseSigners: 'ci',
      releaseRule: 'pool',
    });
    expect(host.vet(entry(null))).toContain('is not signed by a key that this host accepts (ci)');
    expect(host.vet(entry(thief))).not.toBeNull();
    expect(host.vet(entry(ci))).toBeNull();
    expect(host.told).toEqual([
      "pinned 1: Version 1 of pool prod's signers is pinned: only releases that are signed by ci run, and only ci may say otherwise.",
      'looked at anew',
    ]);
    // The same once more is nothing new.
    await host.receive(first);
    expect(host.told).toHaveLength(2);
  });

  it('changes by the word of a key that held before: other keys at once, also for what was looked at', async () => {
    const host = room({ kept: statementOf(1, [ci], [ci]) });
    const byNext = entry(next);
    expect(host.vet(byNext)).not.toBeNull();
    await host.receive(statementOf(2, [next], [ci]));
    expect(host.vet(byNext)).toBeNull();
    expect(host.vet(entry(ci))).not.toBeNull();
    const facts = await host.receive(statementOf(3, [next], [next], { required: false }));
    expect(facts).toEqual({ poolSigners: expect.stringMatching(/^prod@3:/) });
    expect(host.vet(entry(null))).toBeNull();
    expect(host.kept()?.signers.version).toBe(3);
  });

  it('does not change by anybody else’s, which is told once and shown until it is over', async () => {
    const pinned = statementOf(2, [ci], [ci]);
    const host = room({ kept: pinned });
    const attempts: [string, ...SignedSigners[]][] = [
      ['vanished'],
      ['older', statementOf(1, [ci], [ci])],
      ['foreign', statementOf(3, [thief], [thief])],
      ['unsigned', statementOf(3, [ci], [], { required: false })],
      ['conflicting', statementOf(2, [ci], [ci], { required: false })],
    ];
    for (const [why, ...chain] of attempts) {
      const facts = await host.receive(...chain);
      expect(facts).toMatchObject({ poolSigners: standingOf(pinned), releaseKeys: expect.any(String) });
      expect(facts.signersRefused).toMatch(/^The coordinator /);
      expect(host.facts()).toEqual(facts);
      expect(host.told.at(-1)).toMatch(new RegExp(`^refused, ${why}: .*Version 2 stays in force`));
      const before = host.told.length;
      await host.receive(...chain);
      expect(host.told).toHaveLength(before);
      expect(host.vet(entry(null))).not.toBeNull();
      expect(host.kept()).toBe(pinned);
    }
    expect(await host.receive(pinned)).not.toHaveProperty('signersRefused');
  });

  it('goes behind the host’s own configuration, which decides alone where it requires signatures', async () => {
    const rules = { requireSignature: true, keys: [{ name: 'ci', publicKey: ci.publicKey }] };
    const host = room({ rules });
    expect(host.facts()).toMatchObject({ releaseRule: 'host', releaseSigners: 'ci' });
    await host.receive(statementOf(1, [next], [ci], { required: false }));
    expect(host.facts()).toMatchObject({
      releaseRule: 'host',
      poolSigners: expect.stringMatching(/^prod@1/),
    });
    expect(host.vet(entry(null))).not.toBeNull();
    expect(host.vet(entry(next))).not.toBeNull();
    expect(host.vet(entry(ci))).toBeNull();
    expect(host.told[0]).toContain("This host's own configuration goes before it.");
  });

  it('is taken from a key of the host’s configuration only, where that names keys and requires nothing itself', async () => {
    const host = room({ rules: { keys: [{ name: 'ci', publicKey: ci.publicKey }] } });
    expect(host.vet(entry(null))).toBeNull();
    expect((await host.receive(statementOf(1, [thief], [thief]))).signersRefused).toContain('(ci)');
    expect(host.kept()).toBeNull();
    await host.receive(statementOf(1, [next], [ci]));
    expect(host.vet(entry(next))).toBeNull();
    expect(host.vet(entry(null))).not.toBeNull();
  });

  it('takes over from the host’s configuration where that says so, and there is no time without either', async () => {
    const rules = {
      requireSignature: true,
      decides: 'pool',
      keys: [{ name: 'ci', publicKey: ci.publicKey }],
    };
    const host = room({ rules });
    expect(host.facts()).toMatchObject({ releaseRule: 'host', poolSigners: 'none' });
    expect(host.vet(entry(null))).not.toBeNull();
    expect(host.vet(entry(ci))).toBeNull();
    await host.receive(statementOf(1, [thief], [thief]));
    expect(host.vet(entry(thief))).not.toBeNull();
    await host.receive(statementOf(1, [next], [ci]));
    expect(host.facts()).toMatchObject({ releaseRule: 'pool', releaseSigners: 'next' });
    expect(host.vet(entry(ci))).not.toBeNull();
    expect(host.vet(entry(next))).toBeNull();
  });

  it('is only that of its own pool, where the host knows which that is', async () => {
    const host = room({ pool: 'test' });
    expect((await host.receive(statementOf(1, [ci], [ci]))).signersRefused).toContain(
      'this host is of pool test',
    );
    expect(host.vet(entry(null))).toBeNull();
  });

  it('holds also where it could not be written down', async () => {
    const host = room({ disk: 'full' });
    await host.receive(statementOf(1, [ci], [ci]));
    expect(host.vet(entry(null))).not.toBeNull();
  });

  it('is said within what a hello may hold, whatever the keys are called', async () => {
    const many = Array.from({ length: 16 }, (_, index) => signerPair(`${'k'.repeat(55)}-${index}`));
    const host = room();
    const facts = await host.receive(
      statementOf(1_000_000_000, many, many.slice(0, 1), { pool: 'p'.repeat(40) }),
    );
    for (const value of Object.values(facts)) expect(value?.length).toBeLessThanOrEqual(200);
    expect(facts.releaseKeys?.split(',')).toHaveLength(16);
    expect(facts.poolSigners.length).toBeLessThanOrEqual(80);
  });
});
