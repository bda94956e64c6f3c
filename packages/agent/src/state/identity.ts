import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { HostId } from '@berth/shared/domain/ids';
import type { Clock } from './ports.ts';
import type { Disk } from './disk.ts';
import { readChecked, writeAtomically } from './files.ts';

/** Who this agent is: a key that never leaves the host, and the name the coordinator gave it. */
export interface Identity {
  /** Ed25519, SPKI DER, base64. */
  readonly publicKey: string;
  /** Null until enrolled. */
  host(): string | null;
  /** Remembers the host id that enrolment gave. Durable when it resolves. */
  bind(host: string): Promise<void>;
  /** Signature of a text, base64. */
  sign(text: string): string;
}

const IdentityFile = z.strictObject({
  privateKey: z.string().min(1),
  host: HostId.nullable(),
});

/** Reads the identity, or makes one on first use. What cannot be read is set aside, and the host must enrol again. */
export async function openIdentity(
  directory: string,
  disk: Disk,
  clock: Clock,
): Promise<{ identity: Identity; quarantined: string[] }> {
  const path = join(directory, 'identity.json');
  const reading = await readChecked(disk, clock, path, IdentityFile, (value) =>
    keyOf(value.privateKey) === null ? 'the private key cannot be read' : null,
  );
  const quarantined = reading.kind === 'quarantined' ? [path] : [];
  const kept = reading.kind === 'found' ? reading.value : null;
  let host = kept?.host ?? null;
  const key = (kept === null ? null : keyOf(kept.privateKey)) ?? generateKeyPairSync('ed25519').privateKey;
  const text = key.export({ type: 'pkcs8', format: 'der' }).toString('base64');
  const save = (bound: string | null): Promise<void> =>
    writeAtomically(disk, path, `${JSON.stringify({ privateKey: text, host: bound })}\n`);
  if (kept === null) await save(null);

  const identity: Identity = {
    publicKey: createPublicKey(key).export({ type: 'spki', format: 'der' }).toString('base64'),
    host: () => host,
    async bind(bound) {
      await save(HostId.parse(bound));
      host = bound;
    },
    sign: (message) => sign(null, Buffer.from(message, 'utf8'), key).toString('base64'),
  };
  return { identity, quarantined };
}

function keyOf(base64: string): KeyObject | null {
  try {
    const key = createPrivateKey({ key: Buffer.from(base64, 'base64'), format: 'der', type: 'pkcs8' });
    return key.asymmetricKeyType === 'ed25519' ? key : null;
  } catch {
    return null;
  }
}
