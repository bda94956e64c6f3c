import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { DesiredTenant } from '@berth/shared/domain/desired';
import { signRelease } from '@berth/shared/domain/signature';
import { AgentConfig } from '../../src/config.ts';
import { createVet, ReleaseRules } from '../../src/desired/vet.ts';
import { desiredTenant, serviceSpec } from '../support/specs.ts';

const ci = generateKeyPairSync('ed25519');
const old = generateKeyPairSync('ed25519');
const publicOf = (key: KeyObject): string => key.export({ format: 'der', type: 'spki' }).toString('base64');
const keyOf = (name: string, key: KeyObject) => ({ name, publicKey: publicOf(key) });
const IMAGE = `r.test/web@sha256:${'1'.repeat(64)}`;

function entry(signer: KeyObject, by = 'ci'): DesiredTenant {
  const bare = desiredTenant('acme', 1, { services: [serviceSpec('web', { image: IMAGE })] });
  const value = signRelease(signer, { app: bare.app, release: bare.release, open: {}, spec: bare.spec });
  return { ...bare, signature: { open: {}, by: [{ key: by, value }] } };
}

describe('whose releases a host runs', () => {
  it('is nobody’s business unless its configuration says so', () => {
    expect(createVet(ReleaseRules.parse({}))).toBeNull();
    expect(createVet(ReleaseRules.parse({ keys: [keyOf('ci', ci.publicKey)] }))).toBeNull();
    expect(AgentConfig.shape.releases.parse(undefined)).toEqual({ requireSignature: false, keys: [] });
  });

  it('is decided by the keys in its configuration, whatever a signature calls its own', () => {
    const keys = [keyOf('ci', ci.publicKey), keyOf('old', old.publicKey)];
    const vet = createVet(ReleaseRules.parse({ requireSignature: true, keys }));
    expect(vet?.(entry(ci.privateKey))).toBeNull();
    expect(vet?.(entry(old.privateKey, 'whoever'))).toBeNull();
    const stranger = generateKeyPairSync('ed25519').privateKey;
    expect(vet?.(entry(stranger, 'ci'))).toContain('is not what ci signed');
    expect(vet?.(entry(stranger, 'me'))).toContain(
      'is signed by me, not by a key that this host accepts (ci, old)',
    );
    const asked = entry(stranger, 'ci');
    expect(vet?.(asked)).toBe(vet?.(asked));
  });

  it('cannot be written down in a way that lets nothing or anything in', () => {
    const wrong = (rules: unknown): string =>
      JSON.stringify(ReleaseRules.safeParse(rules).error?.issues ?? 'taken');
    expect(wrong({ requireSignature: true })).toContain('names no key');
    expect(wrong({ requireSignature: true, keys: [{ name: 'ci', publicKey: 'x' }] })).toContain(
      'not an Ed25519',
    );
    expect(wrong({ requireSignature: 'yes', keys: [keyOf('ci', ci.publicKey)] })).toContain('boolean');
    expect(wrong({ requireSignatures: true })).toContain('requireSignatures');
    const twice = [keyOf('ci', ci.publicKey), keyOf('ci', old.publicKey)];
    expect(wrong({ keys: twice })).toContain('same name');
    expect(wrong({ keys: [keyOf('a, b', ci.publicKey)] })).toContain('the name of a key');
  });
});
