import { DecryptCommand, EncryptCommand, GenerateDataKeyCommand, KMSClient } from '@aws-sdk/client-kms';

export interface KmsSettings {
  /** Id, ARN or alias. */
  key: string;
  region?: string | undefined;
  endpoint?: string | undefined;
}

type Context = Record<string, string>;

/** What is asked of KMS. Base64 is left to the caller. */
export interface Kms {
  generate(context: Context): Promise<{ plain: Buffer; wrapped: Buffer }>;
  encrypt(context: Context, plain: Buffer): Promise<Buffer>;
  decrypt(context: Context, wrapped: Buffer): Promise<Buffer>;
}

/** The SDK's client; loaded only where the configuration names a KMS key. */
export function openKms({ key, region, endpoint }: KmsSettings): Kms {
  const client = new KMSClient({
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    maxAttempts: 3,
    requestHandler: { connectionTimeout: 3_000, requestTimeout: 4_000, throwOnRequestTimeout: true },
  });
  return {
    async generate(context) {
      const command = new GenerateDataKeyCommand({
        KeyId: key,
        KeySpec: 'AES_256',
        EncryptionContext: context,
      });
      const { Plaintext, CiphertextBlob } = await client.send(command);
      return { plain: bytes(Plaintext), wrapped: bytes(CiphertextBlob) };
    },
    async encrypt(context, plain) {
      const command = new EncryptCommand({ KeyId: key, Plaintext: plain, EncryptionContext: context });
      return bytes((await client.send(command)).CiphertextBlob);
    },
    async decrypt(context, wrapped) {
      // Without a key id: what an older key wrapped, which the configuration named before, is opened as well.
      const command = new DecryptCommand({ CiphertextBlob: wrapped, EncryptionContext: context });
      return bytes((await client.send(command)).Plaintext);
    },
  };
}

function bytes(given: Uint8Array | undefined): Buffer {
  if (given === undefined || given.length === 0) throw new Error('KMS answered without a key');
  return Buffer.from(given);
}
