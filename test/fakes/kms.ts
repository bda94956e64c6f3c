import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { Refusal, startAwsJson, type AwsJsonDouble } from './aws-json.ts';

export interface KmsDouble extends AwsJsonDouble {
  /** Keys that are there, by id; taking one away is what deleting it does. */
  keys: Map<string, Buffer>;
  /** The encryption contexts that were asked with, newest last. */
  contexts: Record<string, string>[];
}

const Context = z.record(z.string(), z.string()).default({});
const Generate = z.strictObject({
  KeyId: z.string(),
  KeySpec: z.literal('AES_256'),
  EncryptionContext: Context,
});
const Encrypt = z.strictObject({
  KeyId: z.string(),
  Plaintext: z.base64().max(5500),
  EncryptionContext: Context,
});
const Decrypt = z.strictObject({
  KeyId: z.string().optional(),
  CiphertextBlob: z.base64(),
  EncryptionContext: Context,
});

/** KMS, as far as data keys go. What it wraps opens only with its key and with the same context. */
export async function startKms(...ids: string[]): Promise<KmsDouble> {
  const keys = new Map(ids.map((id) => [id, randomBytes(32)]));
  const contexts: Record<string, string>[] = [];
  const keyOf = (id: string): Buffer => {
    const key = keys.get(id);
    if (key === undefined) throw new Refusal('NotFoundException', `Key '${id}' does not exist`);
    return key;
  };
  /** Sorted, as KMS binds to the pairs and not to their order. */
  const aadOf = (context: Record<string, string>): Buffer => {
    contexts.push(context);
    return Buffer.from(JSON.stringify(Object.entries(context).sort(([a], [b]) => (a < b ? -1 : 1))));
  };
  const idHash = (id: string): Buffer => createHash('sha256').update(id).digest();

  function wrap(id: string, context: Record<string, string>, plain: Buffer): string {
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', keyOf(id), nonce);
    cipher.setAAD(aadOf(context));
    const text = Buffer.concat([cipher.update(plain), cipher.final()]);
    return Buffer.concat([idHash(id), nonce, cipher.getAuthTag(), text]).toString('base64');
  }

  function unwrap(given: z.output<typeof Decrypt>): { id: string; plain: Buffer } {
    const blob = Buffer.from(given.CiphertextBlob, 'base64');
    const id = [...keys.keys()].find((each) => idHash(each).equals(blob.subarray(0, 32)));
    if (id === undefined) throw new Refusal('NotFoundException', 'the key is gone');
    if (given.KeyId !== undefined && given.KeyId !== id)
      throw new Refusal('IncorrectKeyException', 'The key ID in the request does not identify the key');
    const decipher = createDecipheriv('aes-256-gcm', keyOf(id), blob.subarray(32, 44));
    decipher.setAAD(aadOf(given.EncryptionContext));
    decipher.setAuthTag(blob.subarray(44, 60));
    try {
      return { id, plain: Buffer.concat([decipher.update(blob.subarray(60)), decipher.final()]) };
    } catch {
      throw new Refusal('InvalidCiphertextException', 'null');
    }
  }

  const double = await startAwsJson('kms', 'TrentService', {
    GenerateDataKey(input) {
      const { KeyId, EncryptionContext } = Generate.parse(input);
      const plain = randomBytes(32);
      return {
        KeyId,
        Plaintext: plain.toString('base64'),
        CiphertextBlob: wrap(KeyId, EncryptionContext, plain),
      };
    },
    Encrypt(input) {
      const { KeyId, Plaintext, EncryptionContext } = Encrypt.parse(input);
      return { KeyId, CiphertextBlob: wrap(KeyId, EncryptionContext, Buffer.from(Plaintext, 'base64')) };
    },
    Decrypt(input) {
      const { id, plain } = unwrap(Decrypt.parse(input));
      return { KeyId: id, Plaintext: plain.toString('base64') };
    },
  });
  return Object.assign(double, { keys, contexts });
}
