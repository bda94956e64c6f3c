import { text } from 'node:stream/consumers';
import { DecryptCommand, EncryptCommand, KMSClient } from '@aws-sdk/client-kms';
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { GetParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { messageOf, unreachable } from '@berth/shared/domain/errors';
import { AwsAsk, type AwsAnswer } from './aws-ask.ts';

/**
 * A program that asks AWS once and ends, so that the agent keeps nothing of the SDK. It reads one question as JSON on
 * stdin and answers one JSON line on stdout, a pipe to the agent: values never touch a disk or an argument. Credentials
 * are what the SDK finds: environment, profile, the instance's role.
 */
async function answer(): Promise<AwsAnswer> {
  try {
    const { of, region, endpoint } = AwsAsk.parse(JSON.parse(await text(process.stdin)));
    const settings = {
      ...(region === undefined ? {} : { region }),
      ...(endpoint === undefined ? {} : { endpoint }),
      maxAttempts: 3,
      requestHandler: { connectionTimeout: 3_000, requestTimeout: 4_000, throwOnRequestTimeout: true },
    };
    switch (of.kind) {
      case 'secret': {
        const client = new SecretsManagerClient(settings);
        const got = await client.send(
          new GetSecretValueCommand({
            SecretId: of.id,
            ...(of.stage === undefined ? {} : { VersionStage: of.stage }),
          }),
        );
        if (got.SecretBinary !== undefined) return value(Buffer.from(got.SecretBinary));
        return value(Buffer.from(partOf(got.SecretString ?? '', of.key)));
      }
      case 'parameter': {
        const got = await new SSMClient(settings).send(
          new GetParameterCommand({ Name: of.name, WithDecryption: true }),
        );
        return value(Buffer.from(got.Parameter?.Value ?? ''));
      }
      case 'wrap': {
        const got = await new KMSClient(settings).send(
          new EncryptCommand({
            KeyId: of.key,
            Plaintext: Buffer.from(of.text),
            EncryptionContext: of.context,
          }),
        );
        return value(Buffer.from(got.CiphertextBlob ?? []));
      }
      case 'unwrap': {
        const got = await new KMSClient(settings).send(
          new DecryptCommand({
            KeyId: of.key,
            CiphertextBlob: Buffer.from(of.blob, 'base64'),
            EncryptionContext: of.context,
          }),
        );
        return value(Buffer.from(got.Plaintext ?? []));
      }
      default:
        return unreachable(of);
    }
  } catch (thrown) {
    const name = thrown instanceof Error ? thrown.name : 'Error';
    return { kind: 'refused', name, message: messageOf(thrown) };
  }
}

function value(bytes: Buffer): AwsAnswer {
  return { kind: 'value', value: bytes.toString('base64') };
}

/** Never quotes what it could not read: that is the secret. */
function partOf(text: string, key: string | undefined): string {
  if (key === undefined) return text;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new Error('its value is not JSON, so it has no keys');
  }
  const part: unknown =
    parsed !== null && typeof parsed === 'object' && Object.hasOwn(parsed, key)
      ? Object.entries(parsed).find(([name]) => name === key)?.[1]
      : undefined;
  if (part === undefined || part === null) throw new Error(`its JSON has no key ${key}`);
  return typeof part === 'string' ? part : JSON.stringify(part);
}

process.stdout.write(`${JSON.stringify(await answer())}\n`);
