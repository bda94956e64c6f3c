import { generateKeyPairSync, sign } from 'node:crypto';
import { rawPublic } from '@berth/shared/secrets/hpke';
import { SEALING_FACT, sealingFact, sealingText } from '@berth/shared/secrets/sealed';
import type { TestServices } from './coordinator.ts';
import { BY, hello } from './samples.ts';

/** A host whose agent shows a key to seal secrets to, signed by its identity. */
export async function sealingHost(t: TestServices, name = 'one', pool = 'default'): Promise<string> {
  const identity = generateKeyPairSync('ed25519');
  const publicKey = identity.publicKey.export({ format: 'der', type: 'spki' }).toString('base64');
  const { token } = await t.services.hosts.joinToken(BY, { pool, ttlMs: 60_000 });
  const { host } = await t.services.hosts.enrol(BY, { token, publicKey, name });
  const shown = rawPublic(generateKeyPairSync('x25519').privateKey).toString('base64');
  const signature = sign(null, Buffer.from(sealingText(host, shown)), identity.privateKey);
  const facts = { [SEALING_FACT]: sealingFact(shown, signature.toString('base64')) };
  t.fleet.connected.add(host);
  await t.store.fleet.noteConnections([
    { kind: 'online', host, hello: { ...hello(host), facts }, at: t.clock.now() },
  ]);
  return host;
}
