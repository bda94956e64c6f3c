import { randomBytes } from 'node:crypto';
import { chmod, link, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { BerthError, messageOf } from '@berth/shared/domain/errors';
import { placeText } from '@berth/shared/domain/secret';
import { z } from 'zod';
import { decrypt, encrypt, KEY_BYTES } from './envelope.ts';
import type { KeyHolder } from './keys.ts';

const KeyName = z.string().regex(/^local:[0-9a-f]{16}$/);
const KeyRing = z.strictObject({
  current: KeyName,
  /** By name, base64. Old ones stay until nothing is wrapped with them. */
  keys: z.record(KeyName, z.base64().length(44)),
});
type KeyRing = z.infer<typeof KeyRing>;

const PREFIX = 'local:';

/**
 * Keys in a file that only its owner reads. It is made when the first secret is set, and never again: a file that is
 * gone means that secrets are lost, and a new one in its place would hide that.
 */
export function createKeyFile(path: string): KeyHolder {
  /** Read anew each time: it is small, and somebody may have put it back. */
  async function read(): Promise<KeyRing | null> {
    let text: string;
    try {
      const { mode } = await stat(path);
      if ((mode & 0o077) !== 0) await chmod(path, 0o600);
      text = await readFile(path, 'utf8');
    } catch (thrown) {
      if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return null;
      throw unreadable(path, thrown);
    }
    try {
      const ring = KeyRing.parse(JSON.parse(text));
      if (ring.keys[ring.current] === undefined)
        throw new Error('the key that it calls current is not in it');
      return ring;
    } catch (cause) {
      // The parser's own words may quote the file.
      throw unreadable(path, cause instanceof z.ZodError || cause instanceof SyntaxError ? null : cause);
    }
  }

  /** `first`: it is not there yet, and of two who make it at the same moment one finds the other's. */
  async function write(ring: KeyRing, which: 'first' | 'next' = 'next'): Promise<void> {
    const temporary = `${path}.${randomBytes(6).toString('hex')}.new`;
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      const file = await open(temporary, 'w', 0o600);
      try {
        await file.chmod(0o600);
        await file.writeFile(`${JSON.stringify(ring)}\n`);
        await file.sync();
      } finally {
        await file.close();
      }
      if (which === 'next') await rename(temporary, path);
      else {
        await link(temporary, path).catch((thrown: unknown) => {
          if (!(thrown instanceof Error && 'code' in thrown && thrown.code === 'EEXIST')) throw thrown;
        });
        await rm(temporary, { force: true });
      }
      const directory = await open(dirname(path), 'r');
      try {
        await directory.sync();
      } finally {
        await directory.close();
      }
    } catch (cause) {
      throw new BerthError(
        'secret_unavailable',
        `The key file ${path} could not be written: ${messageOf(cause)}. Nothing was changed.`,
        { cause },
      );
    }
  }

  const withNewKey = (ring: KeyRing | null): KeyRing => {
    const name = `${PREFIX}${randomBytes(8).toString('hex')}`;
    const key = randomBytes(KEY_BYTES).toString('base64');
    return { current: name, keys: { ...ring?.keys, [name]: key } };
  };

  function lost(): Error {
    return new Error(`the key file ${path} is gone; put it back from a copy`);
  }

  async function ringNow(): Promise<KeyRing> {
    const ring = await read();
    if (ring === null) throw lost();
    return ring;
  }

  function keyIn(ring: KeyRing, name: string): Buffer {
    const key = ring.keys[name];
    if (key === undefined)
      throw new Error(`the key file ${path} does not hold the key ${name}; put back the file that did`);
    return Buffer.from(key, 'base64');
  }

  const holder: KeyHolder = {
    holds: (key) => key.startsWith(PREFIX),
    async current(used) {
      const ring = await read();
      if (ring !== null) return ring.current;
      if (used.some((key) => key.startsWith(PREFIX))) throw lost();
      await write(withNewKey(null), 'first');
      return (await ringNow()).current;
    },
    generate: (place) => holder.wrap(place, randomBytes(KEY_BYTES)),
    async wrap(place, plain) {
      const ring = await ringNow();
      const wrapped = encrypt(keyIn(ring, ring.current), placeText('data-key', place), plain);
      return { plain, wrapped, key: ring.current };
    },
    async unwrap(place, key, wrapped) {
      return decrypt(keyIn(await ringNow(), key), placeText('data-key', place), wrapped);
    },
    async rotate() {
      const next = withNewKey(await ringNow());
      await write(next);
      return next.current;
    },
    async forgetAllBut(used) {
      const ring = await read();
      if (ring === null) return;
      const keys = Object.entries(ring.keys).filter(([name]) => name === ring.current || used.includes(name));
      if (keys.length < Object.keys(ring.keys).length)
        await write({ ...ring, keys: Object.fromEntries(keys) });
    },
    async trouble(key) {
      try {
        keyIn(await ringNow(), key);
        return null;
      } catch (thrown) {
        return messageOf(thrown);
      }
    },
  };
  return holder;
}

function unreadable(path: string, cause: unknown): BerthError {
  const why = cause === null ? 'it is no key file, or a damaged one' : messageOf(cause);
  return new BerthError(
    'secret_unavailable',
    `The key file ${path} cannot be used: ${why}. Put it back from a copy.`,
    cause === null ? {} : { cause },
  );
}
