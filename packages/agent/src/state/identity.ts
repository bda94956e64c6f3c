import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { HostId } from '@berth/shared/domain/ids';
import type { Clock } from './ports.ts';
import type { Disk } from './disk.ts';
import { quarantine, readChecked, writeAtomically } from './files.ts';

/** Who this agent is: a key that never leaves the host, and the name the coordinator gave it. */
export interface Identity {
  /** Ed25519, SPKI DER, base64. */
  readonly publicKey: string;
  /** Null until enrolled. */
  host(): string | null;
  /** The instance that the key was first used on; null where a host proves itself by a token. */
  instance(): string | null;
  /** Remembers the host id that enrolment gave. Durable when it resolves. */
  bind(host: string): Promise<void>;
  /** Remembers, before it is first shown to anybody, which instance the key belongs to. Durable when it resolves. */
  claim(instance: string): Promise<void>;
  /** Sets the key aside and makes a new one, for a host that is not enrolled. Durable when it resolves. */
  renew(): Promise<void>;
  /** Signature of a text, base64. */
  sign(text: string): string;
}

const IdentityFile = z.strictObject({
  privateKey: z.string().min(1),
  host: HostId.nullable(),
  /** Agents before this was kept have none. */
  instance: z.string().max(40).optional(),
});

const NAME = 'identity.json';

/** Reads the identity, or makes one on first use. What cannot be read is set aside, and the host must enrol again. */
export async function openIdentity(
  directory: string,
  disk: Disk,
  clock: Clock,
): Promise<{ identity: Identity; quarantined: string[] }> {
  const path = join(directory, NAME);
  const reading = await readChecked(disk, clock, path, IdentityFile, (value) =>
    keyOf(value.privateKey) === null ? 'the private key cannot be read' : null,
  );
  const quarantined = reading.kind === 'quarantined' ? [path] : [];
  const kept = reading.kind === 'found' ? reading.value : null;
  let host = kept?.host ?? null;
  let instance = kept?.instance ?? null;
  let key = (kept === null ? null : keyOf(kept.privateKey)) ?? freshKey();
  const save = (privateKey: KeyObject, bound: string | null, of: string | null): Promise<void> => {
    const text = privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64');
    const file = { privateKey: text, host: bound, ...(of === null ? {} : { instance: of }) };
    return writeAtomically(disk, path, `${JSON.stringify(file)}\n`);
  };
  if (kept === null) await save(key, null, null);

  const identity: Identity = {
    get publicKey() {
      return createPublicKey(key).export({ type: 'spki', format: 'der' }).toString('base64');
    },
    host: () => host,
    instance: () => instance,
    async bind(bound) {
      await save(key, HostId.parse(bound), instance);
      host = bound;
    },
    async claim(of) {
      await save(key, host, of);
      instance = of;
    },
    async renew() {
      const next = freshKey();
      await quarantine(disk, clock, path);
      await save(next, null, null);
      key = next;
      host = null;
      instance = null;
    },
    sign: (message) => sign(null, Buffer.from(message, 'utf8'), key).toString('base64'),
  };
  return { identity, quarantined };
}

/** The instance that the saved identity was first used on; null when there is none, or it cannot be read. */
export async function savedInstance(directory: string, disk: Disk): Promise<string | null> {
  try {
    const text = await disk.read(join(directory, NAME));
    const parsed = IdentityFile.safeParse(text === null ? null : JSON.parse(text));
    return parsed.success ? (parsed.data.instance ?? null) : null;
  } catch {
    // It is set aside, and told of, when it is opened.
    return null;
  }
}

function freshKey(): KeyObject {
  return generateKeyPairSync('ed25519').privateKey;
}

function keyOf(base64: string): KeyObject | null {
  try {
    const key = createPrivateKey({ key: Buffer.from(base64, 'base64'), format: 'der', type: 'pkcs8' });
    return key.asymmetricKeyType === 'ed25519' ? key : null;
  } catch {
    return null;
  }
}
